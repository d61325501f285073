"""The life of a job: claimed by one worker, kept alive by a heartbeat, ended once.

Every change is a compare-and-set on the row, with the database's clock. A worker that lost its claim (it was too
slow, and another took over) learns so at its next heartbeat and stops.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import F, Q
from django.db.models.functions import Now

from curation.models import Job, JobState

AnyJob = TypeVar("AnyJob", bound=Job)

STALE_AFTER = timedelta(seconds=30)
BEAT_SECONDS = 2.0
MOST_CLAIMS = 5
FIRST_RESEND = timedelta(seconds=20)
LAST_RESEND = timedelta(hours=1)


class JobLost(Exception):
    """Another worker holds the job now, or it has ended: whoever gets this must change nothing more."""


class JobStopped(Exception):
    """Somebody asked for the job to stop."""


def claim_job(model: type[AnyJob], pk: int) -> AnyJob | None:
    """Take a queued job, or None where somebody else has it or it has ended."""
    claim = uuid.uuid4()
    taken = model._default_manager.filter(pk=pk, state=JobState.QUEUED).update(
        state=JobState.RUNNING,
        claim=claim,
        claims=F("claims") + 1,
        heartbeat_at=Now(),
        started_at=Now(),
        error="",
        advice="",
    )
    return model._default_manager.get(pk=pk) if taken else None


def beat_job(job: Job, **fields: Any) -> None:
    """Say that the job is alive, and save `fields` (progress, stage, counts). Raises JobLost or JobStopped."""
    manager = type(job)._default_manager
    held = manager.filter(pk=job.pk, claim=job.claim, state=JobState.RUNNING)
    if not held.update(heartbeat_at=Now(), **fields):
        raise JobLost(f"{job} is no longer ours")
    for name, value in fields.items():
        setattr(job, name, value)
    if manager.filter(pk=job.pk, stop_requested=True).exists():
        raise JobStopped(f"{job} was asked to stop")


def beat_now_and_then(job: Job) -> Callable[..., None]:
    """A heartbeat that may be called for every row; it may be given the progress."""
    last = time.monotonic()

    def beat(progress: int | None = None) -> None:
        nonlocal last
        if time.monotonic() - last > BEAT_SECONDS:
            beat_job(job, **({} if progress is None else {"progress": progress}))
            last = time.monotonic()

    return beat


def end_job(job: Job, state: JobState, **fields: Any) -> None:
    """End a running job. Raises JobLost where it is no longer ours."""
    held = type(job)._default_manager.filter(pk=job.pk, claim=job.claim, state=JobState.RUNNING)
    if not held.update(state=state, finished_at=Now(), heartbeat_at=Now(), **fields):
        raise JobLost(f"{job} is no longer ours")
    job.state = state


def request_stop(job: Job) -> bool:
    """Ask a job to stop; one that nobody has started ends at once. False where it had ended already."""
    manager = type(job)._default_manager
    if manager.filter(pk=job.pk, state=JobState.QUEUED).update(
        state=JobState.STOPPED, stop_requested=True, finished_at=Now()
    ):
        return True
    return bool(manager.filter(pk=job.pk, state=JobState.RUNNING).update(stop_requested=True))


def requeue_job(job: Job) -> bool:
    """Put a failed or stopped job back to the queue. False where it is in neither state (a double click, say)."""
    ended = type(job)._default_manager.filter(pk=job.pk, state__in=[JobState.FAILED, JobState.STOPPED])
    return bool(
        ended.update(
            state=JobState.QUEUED,
            stop_requested=False,
            claims=0,
            sends=0,
            sent_at=Now(),
            finished_at=None,
            error="",
            advice="",
        )
    )


def sweep_jobs(model: type[AnyJob]) -> list[int]:
    """Find the jobs that nobody works on, and return the ids of those to send (again).

    A running job without a heartbeat goes back to the queue, or fails where its workers have died time after time.
    A queued job whose message may be lost is sent again, at growing intervals: it may simply be waiting its turn.
    """
    manager = model._default_manager
    lost = manager.filter(state=JobState.RUNNING, heartbeat_at__lt=Now() - STALE_AFTER)
    lost.filter(claims__gte=MOST_CLAIMS).update(
        state=JobState.FAILED,
        finished_at=Now(),
        error=f"Its worker died {MOST_CLAIMS} times while working on it.",
        advice="Look into the worker's log for the cause; then start it again.",
    )
    requeued = []
    for pk in lost.values_list("pk", flat=True):
        if lost.filter(pk=pk).update(state=JobState.QUEUED, claim=None, sends=0, sent_at=Now()):
            requeued.append(pk)
    resent = []
    for pk, sends in manager.filter(state=JobState.QUEUED).exclude(pk__in=requeued).values_list("pk", "sends"):
        wait = min(FIRST_RESEND * 2 ** min(sends, 12), LAST_RESEND)
        silent = Q(sent_at=None, created_at__lt=Now() - wait) | Q(sent_at__lt=Now() - wait)
        if manager.filter(silent, pk=pk, state=JobState.QUEUED, sends=sends).update(sends=sends + 1, sent_at=Now()):
            resent.append(pk)
    return requeued + resent
