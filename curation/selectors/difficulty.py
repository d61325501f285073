"""The difficulty of a project's tasks, and the bias of what was selected against its target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, QuerySet, Sum

from curation.bias import BiasReport, Target, TaskMass, dump_target, measure_bias, read_target, target_shares
from curation.difficulty import BANDS
from curation.models import (
    DatasetRow,
    DatasetVersion,
    DifficultyFit,
    JobState,
    Project,
    Queue,
    Task,
    Trajectory,
)
from curation.models.dataset import Split
from curation.selection import CHARACTERS_PER_TOKEN
from curation.selectors.candidate_rows import CHARACTERS
from curation.selectors.datasets import list_newest_versions
from curation.selectors.queues import keep_if_large
from curation.selectors.tasks import ACCEPTED, NOT_CRASHED, REACHED
from curation.selectors.version_statistics import read_frozen_stages
from curation.waterfall import Band, Stage, follow_stages

UNITS = {"tokens": "Supervised tokens", "attempts": "Attempts", "tasks": "Tasks"}
STAGES = {
    "collected": "Collected",
    "success": "Successes",
    "reviewed": "Reviewed",
    "accepted": "Accepted",
}
MOST_DATASETS = 12
"""Of more, those with the newest versions are measured."""

RESAMPLED = 50_000_000
"""Tasks drawn at most for one interval: of 100,000 tasks, 500 resamples."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Selection:
    """Something that was selected: `name` is "accepted", or "dataset-" and the dataset's id.

    `amounts` are by band, None the unknown. `stages` are what froze it recorded, in supervised tokens.
    """

    name: str
    label: str
    amounts: dict[Band, float]
    report: BiasReport
    version: int | None = None
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Difficulty:
    """A project's pool by band in one unit, the target as shares, the stages up to acceptance, and the selections."""

    unit: str
    target: Target
    tasks: int
    pool: dict[Band, float]
    shares: dict[int, float]
    stages: list[Stage]
    selections: list[Selection]

    def find(self, name: str) -> Selection:
        """The selection of that name; of another name, what was accepted."""
        return next((one for one in self.selections if one.name == name), self.selections[0])


def measure_difficulty(project: Project, *, unit: str = "tokens") -> Difficulty:
    """Measure a project; a large one may be some seconds old. `unit` is one of UNITS."""
    target = read_target(project.target)
    against = hashlib.sha256(json.dumps(dump_target(target)).encode()).hexdigest()
    key = f"difficulty-{project.pk}-{unit}-{against}"
    return keep_if_large(key, lambda: _measure(project, target, unit), size=lambda measured: measured.tasks)


def _measure(project: Project, target: Target, unit: str) -> Difficulty:
    tasks = dict(_read_tasks(project))
    reached = _read_attempts(project, tasks, unit)
    pool = reached["collected"]
    selections = [_select("accepted", "Accepted", reached["accepted"], pool, target)]
    for version in list_newest_versions(project)[:MOST_DATASETS]:
        masses = list(_weigh(_count_rows(version), tasks, unit))
        stages = tuple(read_frozen_stages(version))
        label = f"{version.dataset.name} v{version.number}"
        name = f"dataset-{version.dataset_id}"
        selections.append(_select(name, label, masses, pool, target, stages=stages, version=version.pk))
    amounts = _add_up(pool)
    return Difficulty(
        unit=unit,
        target=target,
        tasks=len(tasks),
        pool=amounts,
        shares=target_shares(target, {band: amounts[band] for band in BANDS}),
        stages=follow_stages((name, label, reached[name]) for name, label in STAGES.items()),
        selections=selections,
    )


def _read_tasks(project: Project) -> Iterator[tuple[int, tuple[int | None, float | None]]]:
    for pk, band, p in Task.objects.filter(project=project).values_list("pk", "band", "pass_rate").iterator(20_000):
        yield pk, (band, p)


Known = dict[int, tuple[int | None, float | None]]


def _read_attempts(project: Project, tasks: Known, unit: str) -> dict[str, list[TaskMass]]:
    """What each task has at each of STAGES, counted by the database in one go.

    The agent's own characters stand for the tokens that bear loss; where they were not counted yet, all characters do.
    """
    counts: dict[str, Any] = {}
    for name in STAGES:
        reached = REACHED.get(name)
        amount = Sum(CHARACTERS, filter=reached) if unit == "tokens" else Count("pk", filter=reached)
        counts[f"{name}_amount"] = amount
    attempts = Trajectory.objects.filter(NOT_CRASHED | ACCEPTED, project=project).order_by().values("task")
    found: dict[str, list[TaskMass]] = {name: [] for name in STAGES}
    for task, *amounts in attempts.annotate(**counts).values_list("task", *counts).iterator(20_000):
        band, p = tasks.get(task, (None, None))
        for name, amount in zip(STAGES, amounts, strict=True):
            if amount:
                found[name].append(TaskMass(task, band, p, _convert(amount, unit)))
    return found


def _convert(amount: float, unit: str) -> float:
    """An amount as it was counted, in the unit that is shown."""
    return amount / CHARACTERS_PER_TOKEN if unit == "tokens" else 1.0 if unit == "tasks" else float(amount)


def _count_rows(version: DatasetVersion) -> Iterator[tuple[int, int, float]]:
    """Of each task in the training rows: rows, and characters that bear loss by their weight."""
    rows = DatasetRow.objects.filter(version=version, split=Split.TRAIN).order_by().values("task")
    counted = rows.annotate(n=Count("pk"), weighted=Sum(F("weight") * F("characters")))
    yield from counted.values_list("task", "n", "weighted").iterator(20_000)


def _weigh(rows: Iterable[tuple[int, int, float]], tasks: Known, unit: str) -> Iterator[TaskMass]:
    for task, number, characters in rows:
        band, p = tasks.get(task, (None, None))
        yield TaskMass(task, band, p, _convert(characters if unit == "tokens" else number, unit))


def _select(
    name: str, label: str, masses: Sequence[TaskMass], pool: Sequence[TaskMass], target: Target, **more: Any
) -> Selection:
    resamples = min(RESAMPLES, max(100, RESAMPLED // max(1, len(pool))))
    report = measure_bias(masses, pool, target, resamples=resamples)
    return Selection(name, label, _add_up(masses), report, **more)


def _add_up(masses: Iterable[TaskMass]) -> dict[Band, float]:
    amounts: dict[Band, float] = dict.fromkeys((*BANDS, None), 0.0)
    for mass in masses:
        amounts[mass.band] += mass.mass
    return amounts


def list_failures(project: Project, band: int) -> QuerySet[Trajectory]:
    """Failed attempts at tasks of a band that nobody made into something acceptable yet: what can be rescued."""
    return Trajectory.objects.filter(project=project, success=False, task__band=band).exclude(ACCEPTED)


def count_failures(project: Project) -> dict[int, int]:
    """Of each band, the failed attempts that are in no rescue queue yet."""
    rescued = Queue.objects.filter(project=project, conditions__in=[rescue_conditions(band) for band in BANDS])
    failures = Trajectory.objects.filter(project=project, success=False, task__band__isnull=False).exclude(ACCEPTED)
    waiting = failures.exclude(queue_items__queue__in=rescued) if rescued.exists() else failures
    return dict(waiting.order_by().values_list("task__band").annotate(n=Count("pk")))


def rescue_conditions(band: int) -> dict[str, str]:
    """The filter that a rescue queue is filled from."""
    return {"band": str(band), "outcome": "failure"}


def find_rescue(project: Project, band: int) -> Queue | None:
    """The queue that failed attempts of a band go to."""
    queues = Queue.objects.filter(project=project, kind=Queue.Kind.SINGLE, conditions=rescue_conditions(band))
    return queues.order_by("pk").first()


def find_last_fit(project: Project) -> DifficultyFit | None:
    """The newest fit, whatever became of it."""
    return DifficultyFit.objects.filter(project=project).order_by("-pk").first()


def find_policies(project: Project) -> list[dict[str, Any]]:
    """The policies that the last finished fit compared, the most able first."""
    done = DifficultyFit.objects.filter(project=project, state=JobState.DONE).order_by("-pk").first()
    policies: list[dict[str, Any]] = done.policies if done else []
    return sorted(policies, key=lambda one: (-(one["ability"] or 0), one["name"]))
