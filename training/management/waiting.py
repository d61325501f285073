"""Waiting for a job from a command."""

from __future__ import annotations

import time

from django.core.management.base import OutputWrapper

from training.models import Evaluation, Run

SECONDS = 1.0


def wait_for_end(job: Run | Evaluation, progress: OutputWrapper | None) -> None:
    """Return when the job has ended, its row read anew; tell `progress` of every change on the way."""
    told = ""
    while job.is_active:
        line = f"{job}: {job.stage or job.get_state_display()} {job.progress} of {job.progress_total or '?'}"
        if progress is not None and line != told:
            progress.write(line)
            told = line
        time.sleep(SECONDS)
        job.refresh_from_db()
