"""Reading tasks: how hard each is, by whose word, and what was accepted of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain

from django.db.models import Count, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from curation.models import DatasetRow, Task, Trajectory
from curation.permissions import Access, leave_out_blind_tasks
from curation.selectors.answers import write_csv

ORDERS = {
    "id": "As they were collected",
    "ease": "Lowest pass rate first",
    "-ease": "Highest pass rate first",
    "key": "By key",
}
UNKNOWN_EASE = 2.0
"""Stands for a pass rate that is not known, so that those tasks have a place in the order."""

ACCEPTED = Q(status=Trajectory.Status.ACCEPTED)
NOT_CRASHED = ~Q(completion=Trajectory.Completion.CRASHED)
REACHED = {
    "success": Q(success=True),
    "reviewed": (Q(success=True) | Q(head_number__gt=0) | ACCEPTED) & ~Q(status=Trajectory.Status.UNREVIEWED),
    "accepted": ACCEPTED,
}
"""What an attempt reached on its way: see curation.selectors.difficulty.STAGES for the words."""

EXPORT_FIELDS = ("key", "dataset", "band", "pass_rate", "attempts", "successes", "human_grade")


def list_tasks(access: Access) -> QuerySet[Task]:
    """The project's tasks with `ease`, to be ordered by; without those whose pass rate would tell the caller how an
    attempt ended that they may still be given to review blind."""
    tasks = Task.objects.filter(project=access.project).defer("instruction")
    return leave_out_blind_tasks(access, tasks.annotate(ease=Coalesce(F("pass_rate"), Value(UNKNOWN_EASE))))


def count_attempts(tasks: Iterable[Task]) -> dict[int, dict[str, int]]:
    """Of each task by id: `collected`, `accepted`, and `frozen`, its rows in datasets' versions."""
    keys = [task.pk for task in tasks]
    attempts = Trajectory.objects.filter(task__in=keys).order_by().values("task")
    counts = attempts.annotate(collected=Count("pk"), accepted=Count("pk", filter=ACCEPTED))
    rows = DatasetRow.objects.filter(task__in=keys).order_by().values("task")
    frozen = rows.annotate(n=Count("version", distinct=True))
    found = {key: {"collected": 0, "accepted": 0, "frozen": 0} for key in keys}
    for task, collected, accepted in counts.values_list("task", "collected", "accepted"):
        found[task] |= {"collected": collected, "accepted": accepted}
    for task, number in frozen.values_list("task", "n"):
        found[task]["frozen"] = number
    return found


def stream_tasks(tasks: QuerySet[Task], form: str) -> Iterator[str]:
    """Tasks as lines of CSV or of JSON (`form` is csv or jsonl): what makes a list of tasks to attempt again.

    Raises ValueError for another form.
    """
    rows = tasks.order_by("pk").values_list(*EXPORT_FIELDS)
    if form == "csv":
        return write_csv(chain([list(EXPORT_FIELDS)], map(list, rows.iterator(5000))))
    if form == "jsonl":
        return (json.dumps(dict(zip(EXPORT_FIELDS, row, strict=True))) + "\n" for row in rows.iterator(5000))
    raise ValueError("Tasks are exported as csv or as jsonl.")
