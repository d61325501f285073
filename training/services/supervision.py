"""Watching over an engine for its job's row: start it or find it again, pass on progress and stops, note its end.

The engine lives in a session of its own and goes on whatever becomes of the worker or of the database. A worker that
takes over finds it by its command line; where it has died meanwhile the job is marked, never silently run again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

from curation.formats.cleaning import clean_text
from curation.models import JobState
from curation.services.jobs import JobLost, JobStopped, beat_job, claim_job, end_job
from training import run_dir
from training.launchers.local import Engine, find_engine, start_engine
from training.models import Evaluation, Run
from training.services.outcomes import describe_death, finish_evaluation, finish_run
from training.services.run_directories import write_evaluation_directory, write_run_directory

logger = logging.getLogger(__name__)

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

STEADY_SECONDS = 60.0


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    poll: float = 0.7
    hung: float = 120.0  # for a heartbeat of the engine, which beats every two seconds
    stop: float = 300.0  # for an engine to save its checkpoint, which may be large
    terminate: float = 60.0  # for one that was sent TERM
    outage: float = 1800.0  # for the database to come back


PATIENCE = Patience()


class CannotStart(Exception):
    """No engine can be started, for the reason given."""


def supervise_run(pk: int, *, patience: Patience = PATIENCE) -> None:
    """Carry a queued run to its end. Does nothing where another worker has it, or it has ended."""
    run = claim_job(Run, pk)
    if run is not None:
        kind: run_dir.Kind = "sft" if run.method == Run.Method.SFT else "dpo"
        _supervise(_Work(run, kind, write_run_directory, finish_run, patience))


def supervise_evaluation(pk: int, *, patience: Patience = PATIENCE) -> None:
    """As supervise_run, for an evaluation."""
    evaluation = claim_job(Evaluation, pk)
    if evaluation is not None:
        _supervise(_Work(evaluation, "evaluate", write_evaluation_directory, finish_evaluation, patience))


def outlast_outage(
    seconds: float, call: Callable[Given, Answer], *arguments: Given.args, **named: Given.kwargs
) -> Answer:
    """`call`, again and again while the database does not answer; after so many seconds its error is raised."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call(*arguments, **named)
        except (OperationalError, InterfaceError):
            if time.monotonic() > deadline:
                raise
            logger.warning("the database does not answer; the engine goes on, and so shall we", exc_info=True)
            connection.close()
            time.sleep(0.5)


@dataclass
class _Work:
    """A claimed job, and what is particular to its kind."""

    job: Any  # Run | Evaluation; the two functions below take the one it is
    kind: run_dir.Kind
    prepare: Callable[[Any], None]
    finish: Callable[[Any], None]
    patience: Patience

    def beat(self, **fields: Any) -> None:
        outlast_outage(self.patience.outage, beat_job, self.job, **fields)

    def end(self, state: JobState, **fields: Any) -> None:
        outlast_outage(self.patience.outage, end_job, self.job, state, stage="", **fields)

    def read_status(self) -> run_dir.Status | None:
        try:
            return run_dir.read_status(self.job.directory)
        except run_dir.RunDirError:
            return None


def _supervise(work: _Work) -> None:
    try:
        _carry_to_its_end(work)
    except JobLost:
        logger.warning("%r is another worker's now, or has ended", work.job)


def _carry_to_its_end(work: _Work) -> None:
    try:
        engine, killed_for = find_engine(work.kind, work.job.directory), ""
        if engine is None and work.job.pid is None:
            engine = _start(work)
        if engine is not None:
            killed_for = _Watch(work, engine).run()
        _conclude(work, engine, killed_for)
    except CannotStart as error:
        cause = clean_text(str(error))[0]
        work.end(JobState.FAILED, error=cause, advice="Nothing was started. Mend the cause, then try again.")
    except JobStopped:
        work.end(JobState.STOPPED)


def _start(work: _Work) -> Engine | None:
    """Prepare the directory and start the engine; None where the run is done already. Raises CannotStart."""
    directory = work.job.directory
    work.beat(stage="preparing the files")
    try:
        work.prepare(work.job)
        status = work.read_status()
        if status is not None and status.state == "done":
            return None
        (directory / run_dir.STATUS_FILE).unlink(missing_ok=True)  # it told of an earlier attempt
        run_dir.clear_stop(directory)
        return start_engine(work.kind, directory)
    except (ValueError, OSError) as error:
        raise CannotStart(str(error)) from error


class _Watch:
    """The time during which an engine lives."""

    def __init__(self, work: _Work, engine: Engine) -> None:
        self.work = work
        self.engine = engine
        self.began = self.heard = time.monotonic()
        self.heartbeat = 0.0
        self.asked_to_stop: float | None = None
        self.was_terminated = False
        self.killed_for = ""

    def run(self) -> str:
        """Return when the engine has ended: why it was killed, "" where it was not. Raises JobLost."""
        self._beat(pid=self.engine.pid)
        while self.engine.is_alive():
            self.engine.wait(self.work.patience.poll)
            self._look()
        return self.killed_for

    def _look(self) -> None:
        now = time.monotonic()
        fields: dict[str, Any] = {}
        if now - self.began > STEADY_SECONDS and self.work.job.claims != 1:
            fields["claims"] = 1  # this worker holds: only deaths one after the other count against a job
        status = self.work.read_status()
        if status is not None:
            if status.heartbeat != self.heartbeat:
                self.heartbeat, self.heard = status.heartbeat, now
            fields |= {"progress": status.step, "progress_total": status.steps or None}
            fields["stage"] = clean_text(status.stage)[0][:80]
        self._beat(**fields)
        if now - self.heard > self.work.patience.hung:
            self._kill(f"It gave no sign of life for {self.work.patience.hung:.0f} seconds and was killed.")
        elif self.asked_to_stop is not None:
            self._press(now - self.asked_to_stop)

    def _beat(self, **fields: Any) -> None:
        try:
            self.work.beat(**fields)
        except JobStopped:
            if self.asked_to_stop is None:
                self.asked_to_stop = time.monotonic()
                run_dir.request_stop(self.work.job.directory)

    def _press(self, waited: float) -> None:
        patience = self.work.patience
        if waited > patience.stop + patience.terminate:
            self._kill("It did not stop when it was asked to, and was killed.")
        elif waited > patience.stop and not self.was_terminated:
            self.was_terminated = True
            self.engine.terminate()

    def _kill(self, reason: str) -> None:
        if not self.killed_for:
            self.killed_for = reason
            self.engine.kill()


def _conclude(work: _Work, engine: Engine | None, killed_for: str) -> None:
    status = work.read_status()
    progress = {} if status is None else {"progress": status.step, "progress_total": status.steps or None}
    if status is not None and status.state == "done":
        _finish(work)
    elif status is not None and status.state == "stopped":
        work.end(JobState.STOPPED, **progress)
    elif status is not None and status.state == "failed":
        cause, advice = clean_text(status.error or "It failed.")[0], clean_text(status.advice or "")[0]
        work.end(JobState.FAILED, error=cause, advice=advice, **progress)
    else:
        exit_code = engine.exit_code if engine is not None else None
        cause, advice = describe_death(work.job, exit_code)
        work.end(JobState.FAILED, error=killed_for or cause, advice=advice, **progress)


def _finish(work: _Work) -> None:
    try:
        outlast_outage(work.patience.outage, work.finish, work.job)
    except run_dir.RunDirError as error:
        advice = "The files in its directory were changed or damaged. Launch it again."
        work.end(JobState.FAILED, error=clean_text(str(error))[0], advice=advice)
