"""What an engine's end means: checkpoints and results taken in, or what happened in words."""

from __future__ import annotations

import signal
from pathlib import Path

from django.db import transaction

from curation.formats.cleaning import clean_value
from curation.models import JobState
from curation.services.jobs import end_job
from training import run_dir
from training.models import Checkpoint, Evaluation, Run

ADAPTER_FILE = "adapter_config.json"
COMPLETE_MARK = "complete"


def finish_run(run: Run) -> None:
    """Take in what a finished run made, in one transaction; a second call finds it done.

    Raises RunDirError where the directory does not hold it, JobLost where the run is another worker's.
    """
    result = run_dir.read_result(run.directory)
    output = run.directory / run_dir.OUTPUT_DIR
    if result is None or not output.is_dir():
        raise run_dir.RunDirError("The run says it is done, but its model is not there.")
    with transaction.atomic():
        end_job(run, JobState.DONE, stage="", progress=result.steps, progress_total=result.steps)
        parent = run.base or _keep_checkpoint(
            run,
            f"tiny base ({run.name})",
            kind=Checkpoint.Kind.BASE,
            parent=None,
            path=run.directory / run_dir.BASE_DIR,
        )
        _keep_checkpoint(run, run.name, kind=Checkpoint.Kind(run.method), parent=parent, path=output)


def finish_evaluation(evaluation: Evaluation) -> None:
    """Keep a finished evaluation's figures in its row. Raises RunDirError, JobLost."""
    result = run_dir.read_evaluation(evaluation.directory)
    if result is None:
        raise run_dir.RunDirError("The evaluation says it is done, but its result is not there.")
    # What a model wrote may hold any character, NUL included, which PostgreSQL does not take.
    cleaned, _ = clean_value(result.model_dump(mode="json"))
    end_job(evaluation, JobState.DONE, stage="", result=cleaned)


def describe_death(job: Run | Evaluation, exit_code: int | None) -> tuple[str, str]:
    """(cause, advice) for an engine that ended without saying how. A negative exit code is a signal's number."""
    noun = "training" if isinstance(job, Run) else "evaluation"
    if exit_code is None:
        cause = f"The {noun} process ended without a word; the machine or the process was killed."
    elif exit_code < 0:
        cause = f"The {noun} process was killed (signal {-exit_code})."
        if -exit_code == signal.SIGKILL:
            cause += " Where nobody did that, the machine had run out of memory."
    else:
        cause = f"The {noun} process ended with code {exit_code} without a word; the end of its log may say why."
    if isinstance(job, Evaluation):
        return cause, "Evaluate again."
    step = find_last_checkpoint(job.directory)
    if step is None:
        return cause, "Resume: it starts from the beginning, as it had not saved a checkpoint yet."
    return cause, f"Resume: it continues from its last checkpoint, step {step}."


def find_last_checkpoint(directory: Path) -> int | None:
    """The step of the last complete checkpoint that a run can resume from."""
    marks = (directory / run_dir.CHECKPOINTS_DIR).glob(f"checkpoint-*/{COMPLETE_MARK}")
    steps = [int(number) for mark in marks if (number := mark.parent.name.removeprefix("checkpoint-")).isdecimal()]
    return max(steps, default=None)


def _keep_checkpoint(
    run: Run, name: str, *, kind: Checkpoint.Kind, parent: Checkpoint | None, path: Path
) -> Checkpoint:
    if Checkpoint.objects.filter(project=run.project, name=name).exclude(run=run, kind=kind).exists():
        name = f"{name} (run {run.pk})"
    checkpoint, _ = Checkpoint.objects.get_or_create(
        run=run,
        kind=kind,
        defaults={
            "project": run.project,
            "name": name,
            "parent": parent,
            "path": str(path),
            "is_adapter": (path / ADAPTER_FILE).is_file(),
        },
    )
    return checkpoint
