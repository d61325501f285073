"""The answers given in a queue, one by one: to read over REST, and as CSV for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from curation.models import Judgement, Queue, Review, StepLabel
from curation.permissions import Access
from curation.selectors.agreement import Criterion, list_criteria
from curation.selectors.progress import FORMER, QueueProgress, Work

ROWS_AT_ONCE = 2000
PROGRESS_COLUMNS = ["reviewer", "band", "answers", "hours", "answers_per_hour", "median_seconds", "p90_seconds", "last"]


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
    answers = list_answers(access, queue).order_by("pk").iterator(ROWS_AT_ONCE)
    if queue.kind == Queue.Kind.PAIRWISE:
        return write_csv(_tell_judgements(access, answers))
    return write_csv(_tell_reviews(access, answers, list_criteria(queue)[2:]))


def _tell_reviews(access: Access, reviews: Iterable[Any], criteria: list[Criterion]) -> Iterator[list[object]]:
    keys = list(dict.fromkeys(criterion.key for criterion in criteria))
    titles = "review item trajectory task band revision reviewer verdict grade failure_modes first_error comment"
    gold = ["gold"] if access.is_curator else []
    yield [*titles.split(), "rubric_version", "seconds", "submitted_at", *gold, *(f"criterion {key}" for key in keys)]
    for review in reviews:
        task = review.trajectory.task
        yield [
            review.pk,
            review.item_id,
            review.trajectory_id,
            task.key,
            task.band,
            review.revision.number,
            review.reviewer.username if review.reviewer else FORMER,
            review.verdict,
            review.grade,
            " ".join(review.failure_modes),
            review.first_error,
            review.comment,
            review.rubric.number if review.rubric else None,
            review.seconds,
            review.submitted_at.isoformat(),
            *([int(review.item.gold)] if gold else []),
            *(review.scores.get(key) for key in keys),
        ]


def _tell_judgements(access: Access, judgements: Iterable[Any]) -> Iterator[list[object]]:
    titles = "judgement item pair task band reviewer left right answer reason seconds created_at"
    yield [*titles.split(), *(["decides", "gold"] if access.is_curator else [])]
    for judgement in judgements:
        task = judgement.pair.task
        yield [
            judgement.pk,
            judgement.item_id,
            judgement.pair_id,
            task.key,
            task.band,
            judgement.reviewer.username if judgement.reviewer else FORMER,
            judgement.left_id,
            judgement.right_id,
            judgement.answer,
            judgement.reason,
            judgement.seconds,
            judgement.created_at.isoformat(),
            *([int(judgement.decides), int(judgement.item.gold)] if access.is_curator else []),
        ]


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
    """Lines of CSV. Text that a spreadsheet would run as a formula gets an apostrophe in front."""
    writer = csv.writer(_Echo())
    return (writer.writerow([_disarm(cell) for cell in row]) for row in rows)


def _disarm(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell
