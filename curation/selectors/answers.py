"""The answers given in a queue, one by one: to read over REST, and as CSV for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from curation.models import Judgement, Queue, Review, StepLabel
from curation.permissions import Access
from curation.selectors.agreement import list_criteria
from curation.selectors.progress import QueueProgress, Work

ROWS_AT_ONCE = 2000
PROGRESS_COLUMNS = ["reviewer", "band", "answers", "hours", "answers_per_hour", "median_seconds", "p90_seconds", "last"]


REVIEW_COLUMNS = {
    "review": "pk",
    "item": "item_id",
    "trajectory": "trajectory_id",
    "task": "trajectory__task__key",
    "band": "trajectory__task__band",
    "revision": "revision__number",
    "reviewer": "reviewer__username",
    "verdict": "verdict",
    "grade": "grade",
    "failure_modes": "failure_modes",
    "first_error": "first_error",
    "comment": "comment",
    "rubric_version": "rubric__number",
    "seconds": "seconds",
    "submitted_at": "submitted_at",
}
JUDGEMENT_COLUMNS = {
    "judgement": "pk",
    "item": "item_id",
    "pair": "pair_id",
    "task": "pair__task__key",
    "band": "pair__task__band",
    "reviewer": "reviewer__username",
    "left": "left_id",
    "right": "right_id",
    "answer": "answer",
    "reason": "reason",
    "seconds": "seconds",
    "created_at": "created_at",
}


def list_answers(access: Access, queue: Queue) -> QuerySet[Any]:
    """The submitted reviews of a queue, or the judgements, that the caller may see, with what belongs to them.

    Curators see all. Others see, of a blind queue, those of items that they answered too; and of gold items never more
    than their own, since more answers than an item wants would give it away.
    """
    if queue.kind == Queue.Kind.PAIRWISE:
        judgements: QuerySet[Any] = Judgement.objects.select_related("item", "reviewer", "pair__task")
        return _show_to(access, queue, judgements.filter(item__queue=queue).defer("pair__task__instruction"))
    answers: QuerySet[Any] = _show_to(
        access, queue, Review.objects.filter(item__queue=queue).exclude(submitted_at=None)
    )
    first_error = StepLabel.objects.filter(review=OuterRef("pk"), first_error=True).values("step_id")
    answers = answers.annotate(first_error=Subquery(first_error))
    answers = answers.select_related("item", "reviewer", "revision", "rubric", "trajectory__task")
    return answers.defer("revision__document", "trajectory__task__instruction")


def _show_to(access: Access, queue: Queue, answers: QuerySet[Any]) -> QuerySet[Any]:
    shown: QuerySet[Any] = answers
    if access.is_curator:
        return shown
    if queue.blind:
        mine = answers.model._default_manager.filter(reviewer=access.user, item=OuterRef("item"))
        if answers.model is Review:
            mine = mine.exclude(submitted_at=None)
        shown = shown.filter(Exists(mine))
    return shown.filter(Q(item__gold=False) | Q(reviewer=access.user))


def stream_answers(access: Access, queue: Queue) -> Iterator[str]:
    """CSV, one line for each answer that the caller may see, read from the database as it is sent."""
    pairwise = queue.kind == Queue.Kind.PAIRWISE
    columns = JUDGEMENT_COLUMNS if pairwise else REVIEW_COLUMNS
    if access.is_curator:
        columns = columns | {"gold": "item__gold"} | ({"decides": "decides"} if pairwise else {})
    criteria = list_criteria(queue)
    keys = [] if pairwise else list(dict.fromkeys(criterion.key for criterion in criteria if criterion.key))
    fields = [*columns.values(), *([] if pairwise else ["scores"])]
    answers = list_answers(access, queue).order_by("pk").values_list(*fields).iterator(ROWS_AT_ONCE)
    return write_csv(
        chain([[*columns, *(f"criterion {key}" for key in keys)]], _tell_answers(answers, len(columns), keys))
    )


def _tell_answers(answers: Iterable[tuple[Any, ...]], plain: int, keys: list[str]) -> Iterator[list[object]]:
    for answer in answers:
        scores = answer[plain] if keys else {}
        yield [*answer[:plain], *(scores.get(key) for key in keys)]


def stream_progress(progress: QueueProgress) -> Iterator[str]:
    """CSV: a line for each reviewer and band, each reviewer, each band, and for all; an empty cell stands for all."""
    work = progress.work
    named = [(one.name, one) for one in [*work.parts, *work.reviewers]]
    lines = [*named, *(("", one) for one in work.bands.values()), ("", work.total)]
    return write_csv([PROGRESS_COLUMNS, *(_tell_work(name, one) for name, one in lines)])


def _tell_work(name: str, work: Work) -> list[object]:
    return [
        name,
        "unknown" if work.band == 0 else work.band,
        work.answers,
        round(work.seconds / 3600, 2),
        None if work.per_hour is None else round(work.per_hour, 1),
        work.median,
        work.p90,
        work.last.isoformat() if work.last else None,
    ]


class _Echo:
    """A file that hands each line back."""

    def write(self, line: str) -> str:
        return line


def write_csv(rows: Iterable[list[Any]]) -> Iterator[str]:
    """Lines of CSV: times as ISO 8601, yes and no as 1 and 0, lists with spaces between.

    Text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    writer = csv.writer(_Echo())
    return (writer.writerow([_disarm(cell) for cell in row]) for row in rows)


def _disarm(cell: object) -> object:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, bool):
        return int(cell)
    if isinstance(cell, list):
        return " ".join(cell)
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell
