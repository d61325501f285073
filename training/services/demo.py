"""The demo project: recorded BabyAI attempts, many of them decided by a script, the others left to people.

Nothing here passes for a person's judgement: what the script decides, it decides under its own name, by the
environment's own check of the mission, and says so in every comment.
"""

from __future__ import annotations

import gzip
from io import BytesIO

from django.core.files.base import File
from django.db import transaction
from django.db.models import QuerySet

from curation.models import PreferencePair, Project, Queue, Role, Trajectory, User
from curation.models.pair import Judgement
from curation.models.review import Review
from curation.permissions import Access
from curation.services.datasets import create_dataset, create_version, freeze_version
from curation.services.difficulty_fits import queue_fit, run_fit
from curation.services.import_runs import run_import
from curation.services.imports import ImportOptions, create_import
from curation.services.pair_proposals import propose_pairs
from curation.services.pairs import PairAnswer, choose_sides, judge_pair
from curation.services.projects import create_project, save_member
from curation.services.queues import create_queue, take_next
from curation.services.reviews import Answer, submit_review
from training.recording import DEMO_FILE

NAME = "Demo: BabyAI"
SCRIPT = "demo-script"
EVERY_NEWCOMER_TASK = 7
DECIDED_PER_TASK = 2
EXPERT = b'"agent":{"name":"expert bot"'
GUIDELINES = """\
An agent acts in a small grid world. It sees a few cells in front of it, and has one tool: act.

Accept an attempt that does its mission and could be shown to another agent as an example: a few detours are fine, \
as long as each step follows from what was seen.
Reject one that fails its mission, walks in circles, or gives reasons that what it saw contradicts.
Choose unsure where you cannot tell.

Difficulty is the task's, not the attempt's: 1 a mission of a few steps with everything in view, 3 one where something \
has to be found first, 5 one where a way has to be cleared or a key fetched before the mission itself can begin.

Mark the first step that is wrong; what came after it is judged by itself. Where one step is all that is wrong, \
correct it.

Reviews by "demo-script" were made by a script from the environment's own check of the mission, not by a person. The \
queue "Start here" is yours."""


@transaction.atomic
def load_demo(owner: User) -> Project:
    """A new demo project, whole or not at all: its attempts, reviews, pairs and frozen datasets."""
    project = create_project(owner, name=NAME, guidelines=GUIDELINES)
    access = Access(user=owner, project=project, roles=frozenset(Role.values), address=None)
    _import_attempts(access)
    script = _add_script(access)
    tasks = list(project.tasks.order_by("pk").values_list("pk", flat=True))
    newcomers = set(tasks[EVERY_NEWCOMER_TASK - 1 :: EVERY_NEWCOMER_TASK])
    attempts = project.trajectories.all()
    _review_by_script(access, script, attempts.exclude(task__in=newcomers).filter(trial__lt=DECIDED_PER_TASK))
    # Made last, so that it is the first in the list.
    create_queue(access, name="Start here", trajectories=attempts.filter(task__in=newcomers))
    propose_pairs(access, most_per_task=2)
    _judge_by_script(script, newcomers)
    _freeze_datasets(access)
    return project


def _import_attempts(access: Access) -> None:
    """The expert's attempts and the others' as two imports: where an attempt comes from is said for a whole file."""
    lines = gzip.decompress(DEMO_FILE.read_bytes()).splitlines(keepends=True)
    parts = {
        ("expert.jsonl", Trajectory.Source.EXPERT): [line for line in lines if EXPERT in line],
        ("weakened.jsonl", Trajectory.Source.SELF_EXPLORATION): [line for line in lines if EXPERT not in line],
    }
    for (name, source), part in parts.items():
        options = ImportOptions(source=source)
        job = create_import(access, file=File(BytesIO(b"".join(part))), file_name=f"babyai-{name}", options=options)
        run_import(job.pk)
    run_fit(queue_fit(access.project).pk)  # the script grades by what is measured


def _add_script(access: Access) -> Access:
    """The script's own account, which nobody can sign in with."""
    user, made = User.objects.get_or_create(username=SCRIPT)
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    save_member(access, username=SCRIPT, roles=[Role.REVIEWER])
    return Access(user=user, project=access.project, roles=frozenset([Role.REVIEWER]), address=None)


def _review_by_script(access: Access, script: Access, attempts: QuerySet[Trajectory]) -> None:
    queue = create_queue(access, name="Decided by the demo script", trajectories=attempts, order=Queue.Order.OLDEST)
    while reservation := take_next(script, queue):
        attempt = reservation.item.get_trajectory()
        submit_review(script, reservation, _decide(attempt))


def _decide(attempt: Trajectory) -> Answer:
    """By the environment's check of the mission; the grade is the band measured from all attempts at the task."""
    if attempt.success:
        comment = "Decided by a script: the environment says that the mission was done. The grade is the measured band."
        return Answer(verdict=Review.Verdict.ACCEPT, grade=attempt.task.band, comment=comment)
    comment = "Decided by a script: the environment says that the mission was not done."
    return Answer(verdict=Review.Verdict.REJECT, comment=comment)


def _judge_by_script(script: Access, newcomers: set[int]) -> None:
    """Confirm one pair of each decided task: one attempt did the mission, and the other did not."""
    proposed = PreferencePair.objects.filter(project=script.project).exclude(task__in=newcomers)
    for pair in proposed.order_by("task_id", "pk").distinct("task_id"):
        sides = choose_sides(script, pair)
        left_is_chosen = sides.left_id == pair.chosen_id
        answer = Judgement.Answer.LEFT_BETTER if left_is_chosen else Judgement.Answer.RIGHT_BETTER
        reason = "Decided by a script: by the environment's check one did the mission, and the other did not."
        judge_pair(script, pair, PairAnswer(answer, sides.left_id, sides.right_id, reason))


def _freeze_datasets(access: Access) -> None:
    for name, kind in (("Accepted attempts", "sft"), ("Judged pairs", "dpo")):
        version = create_version(access, create_dataset(access, name=name, recipe={"kind": kind}))
        freeze_version(version.pk)
