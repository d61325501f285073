"""The tasks that models are measured on, as a recipe names them, and the tasks that are as good as one of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django.db.models import Q

from curation.models import DatasetRow, Project, Task, Trajectory
from curation.models.dataset import Split
from curation.near_text import find_near
from curation.recipe import Evaluation
from curation.selection import Overlap
from curation.selectors.datasets import list_newest_versions

TASKS_AT_ONCE = 2000


def find_evaluation_tasks(project: Project, evaluation: Evaluation) -> dict[int, tuple[str, str]]:
    """Key and fingerprint of every task that is named, by id."""
    if not evaluation.is_named:
        return {}
    tagged = Trajectory.objects.filter(project=project, tags__overlap=evaluation.tags).values("task")
    versions = list_newest_versions(project).filter(dataset__in=evaluation.datasets).order_by().values("pk")
    measured = DatasetRow.objects.filter(version__in=versions, split=Split.EVAL).values("task")
    named = Q(key__in=evaluation.tasks) | Q(dataset__in=evaluation.benchmarks)
    if evaluation.tags:
        named |= Q(pk__in=tagged)
    if evaluation.datasets:
        named |= Q(pk__in=measured)
    tasks = Task.objects.filter(named, project=project)
    return {pk: (key, fingerprint) for pk, key, fingerprint in tasks.values_list("pk", "key", "fingerprint")}


def find_overlaps(
    project: Project, evaluation: Evaluation, tasks: dict[int, tuple[str, str]], *, candidates: Collection[int]
) -> dict[int, Overlap]:
    """Of the candidate tasks, by id, those that are evaluation tasks, or nearly so.

    `tasks` holds key and fingerprint of the project's tasks; texts are read only where near ones are looked for.
    """
    measured = find_evaluation_tasks(project, evaluation)
    if not measured:
        return {}
    texts = {fingerprint: key for key, fingerprint in measured.values()}
    overlaps = {pk: Overlap(tasks[pk][0], texts[tasks[pk][1]], 1.0) for pk in candidates if tasks[pk][1] in texts}
    if evaluation.similarity is None:
        return overlaps
    remaining = [pk for pk in candidates if pk not in overlaps]
    near = find_near(_read_texts(remaining), dict(_read_texts(list(measured))), least=evaluation.similarity)
    for pk, other, similarity in near:
        overlaps[pk] = Overlap(tasks[pk][0], measured[other][0], similarity)
    return overlaps


def _read_texts(ids: list[int]) -> Iterator[tuple[int, str]]:
    for start in range(0, len(ids), TASKS_AT_ONCE):
        some = Task.objects.filter(pk__in=ids[start : start + TASKS_AT_ONCE]).exclude(instruction="")
        yield from some.values_list("pk", "instruction")
