"""Running a bulk action, or its undoing: batch by batch in the order of ids, each batch one transaction.

A batch first beats the job, which keeps the job's row until it is written: nobody else works on it, stops it or undoes
it in between. How far it got is written with what it changed, so that whoever takes the job up goes on from there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from curation.formats.cleaning import clean_text
from curation.models import BulkAction, BulkChange, JobState, Project, Queue, Trajectory, User
from curation.selectors.bulk import CHANGES, BulkOrder, mark_fates
from curation.services.bulk import check_order
from curation.services.bulk_changes import QueueChanged, change_trajectories, take_back
from curation.services.jobs import JobLost, JobStopped, beat_job, claim_job, end_job
from curation.services.queue_items import follow_all_statuses

logger = logging.getLogger(__name__)

Action = BulkAction.Action
BATCH = 1000
QUEUE_BATCH = 5000
"""Of those that fill a queue: each time, all of it is ranked."""
ROW_ACTIONS = (Action.ACCEPT, Action.REJECT, Action.TAG, Action.UNTAG)
"""Those that write on the trajectories themselves, and so lock them first."""

Choose = Callable[[Project, Mapping[str, Any]], QuerySet[Trajectory]]


def run_bulk_action(pk: int, choose: Choose) -> None:
    """Do a queued bulk action, or take it back, to its end. Does nothing where another worker has it, or it has ended.

    `choose` gives the trajectories of a project that fit conditions.
    """
    job = claim_job(BulkAction, pk)
    if job is None:
        return
    try:
        if job.undone_at:
            state = _repeat(lambda: _undo_batch(job))
        else:
            order = read_order(job)
            state = _repeat(lambda: _do_batch(job, order, choose))
        if job.action in (Action.ACCEPT, Action.REJECT):
            follow_all_statuses(job.project, beat=lambda: _stay_alive(job))
        end_job(job, state, stage="", advice=_advise(job) if state == JobState.STOPPED else "")
    except JobLost:
        logger.warning("bulk action %s is another worker's now", pk)
    except Exception as error:
        logger.exception("bulk action %s failed", pk)
        words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        end_job(job, JobState.FAILED, stage="", error=clean_text(words)[0], advice=_advise(job))


def _stay_alive(job: BulkAction) -> None:
    """A heartbeat where it is too late to stop."""
    with suppress(JobStopped):
        beat_job(job, stage="putting queues in order")


def _advise(job: BulkAction) -> str:
    if job.undone_at:
        return "What was taken back by then is; the rest stays as it was. Continue to take back the rest."
    return "What was changed by then stays so. Continue to do the rest, or undo it."


def read_order(job: BulkAction) -> BulkOrder:
    """What a stored action is to do. Raises ValueError where its queue or reviewer is gone."""
    parameters = job.parameters
    order = BulkOrder(
        action=job.action,
        tag=parameters.get("tag", ""),
        queue=Queue.objects.filter(project=job.project, pk=parameters.get("queue")).first(),
        assignee=User.objects.filter(pk=parameters.get("assignee")).first(),
        reason=parameters.get("reason", ""),
    )
    return check_order(job.project, order)


def _repeat(work: Callable[[], bool]) -> JobState:
    """Batches until one finds nothing, or the job is asked to stop; the state that it ends in.

    A batch that somebody else got in the way of is rolled back and begun again.
    """
    while True:
        try:
            with transaction.atomic():
                if not work():
                    return JobState.DONE
        except QueueChanged:
            continue
        except JobStopped:
            return JobState.STOPPED


def _do_batch(job: BulkAction, order: BulkOrder, choose: Choose) -> bool:
    """Deal with the next trajectories; False where none is left."""
    beat_job(job, stage="")
    rows = choose(job.project, job.conditions).filter(pk__gt=job.position, pk__lte=job.newest)
    rows = rows.select_related(None).order_by("pk").only("pk")
    if job.action in ROW_ACTIONS:
        rows = rows.select_for_update(of=("self",), no_key=True)
    ids = [row.pk for row in rows[: _batch_size(job)]]
    if not ids:
        return False
    fates = dict(mark_fates(Trajectory.objects.filter(pk__in=ids), order).values_list("pk", "fate"))
    changes = change_trajectories(job, order, [pk for pk in ids if fates.get(pk) == CHANGES])
    BulkChange.objects.bulk_create(changes)
    left_out = Counter(job.left_out)
    left_out.update(fate for fate in fates.values() if fate != CHANGES)
    _write_progress(
        job, position=ids[-1], progress=job.progress + len(ids), changed=job.changed + len(changes), left_out=left_out
    )
    return True


def _undo_batch(job: BulkAction) -> bool:
    """Take back the next changes; False where none is left. A change that is taken back is forgotten."""
    beat_job(job, stage="")
    left = job.changes.filter(trajectory_id__gt=job.position).order_by("trajectory_id")
    changes = list(left[: _batch_size(job)])
    if not changes:
        return False
    ids = [change.trajectory_id for change in changes]
    if job.action in ROW_ACTIONS:
        _lock(ids)
    undone = take_back(job, changes)
    job.changes.filter(trajectory_id__in=undone).delete()
    _write_progress(job, position=ids[-1], progress=job.progress + len(ids))
    return True


def _batch_size(job: BulkAction) -> int:
    return BATCH if job.action in ROW_ACTIONS else QUEUE_BATCH


def _lock(ids: Sequence[int]) -> None:
    list(Trajectory.objects.filter(pk__in=ids).order_by("pk").only("pk").select_for_update(no_key=True))


def _write_progress(job: BulkAction, **fields: Any) -> None:
    BulkAction.objects.filter(pk=job.pk).update(**fields)
    for name, value in fields.items():
        setattr(job, name, value)
