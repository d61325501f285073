"""Writing what an engine is given: its job, the frozen rows, and text to learn a tokenizer from. No secrets."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db.models import F, TextField
from django.db.models.functions import MD5, Cast

from curation.formats.document import text_of
from curation.models import Project, Revision, Trajectory
from curation.services.dataset_files import locate_file
from training import run_dir
from training.models import Evaluation, Run
from training.recipes import DPORecipe, EvaluateRecipe, SFTRecipe
from training.services.checkpoints import locate_model

CORPUS_CHARACTERS = 10_000_000
DOCUMENTS_AT_ONCE = 16

# One measure for all: figures are compared only where models answered at the same steps, with the same room.
MEASURE = EvaluateRecipe(max_samples=20, max_new_tokens=96)


def write_run_directory(run: Run) -> None:
    """Prepare a run's directory; one that is complete is kept, with its checkpoints. job.json is written last.

    Raises ValueError where a file it needs is gone or damaged, OSError where the disk refuses.
    """
    directory = run.directory
    if (directory / run_dir.JOB_FILE).exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    version = run.dataset_version
    _place_rows(version.train_sha256, directory / run_dir.TRAIN_FILE)
    _place_rows(version.eval_sha256, directory / run_dir.EVAL_FILE)
    if run.base is None:
        write_corpus(run.project, directory / run_dir.CORPUS_FILE)
        base = run_dir.Base()
    else:
        base = locate_model(run.base)
    job: run_dir.SFTJob | run_dir.DPOJob
    if run.method == Run.Method.SFT:
        job = run_dir.SFTJob(base=base, hyperparameters=SFTRecipe.model_validate(run.recipe))
    else:
        job = run_dir.DPOJob(base=base, hyperparameters=DPORecipe.model_validate(run.recipe))
    run_dir.write_job(directory, job)


def write_evaluation_directory(evaluation: Evaluation) -> None:
    """As write_run_directory, for an evaluation on a version's held-out rows."""
    directory = evaluation.directory
    if (directory / run_dir.JOB_FILE).exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    _place_rows(evaluation.dataset_version.eval_sha256, directory / run_dir.EVAL_FILE)
    job = run_dir.EvaluateJob(base=locate_model(evaluation.checkpoint), hyperparameters=MEASURE)
    run_dir.write_job(directory, job)


def write_corpus(project: Project, path: Path, *, characters: int = CORPUS_CHARACTERS) -> None:
    """The text of some of the project's trajectories, a line each: always the same ones while none is added."""
    seen_tools: set[str] = set()
    left = characters
    with path.open("w", encoding="utf-8") as file:
        for document in _read_documents(_choose_trajectories(project, characters)):
            text = "\n".join(_read_text(document, seen_tools))[:left]
            file.write(json.dumps({"text": text}) + "\n")
            left -= len(text)
            if left <= 0:
                return


def _choose_trajectories(project: Project, characters: int) -> list[int]:
    order = MD5(Cast("pk", TextField()))
    rows = Trajectory.objects.filter(project=project).order_by(order)
    chosen, total = [], 0
    for pk, length in rows.values_list("pk", "character_count").iterator():
        chosen.append(pk)
        total += length
        if total >= characters:
            break
    return chosen


def _read_documents(trajectories: list[int]) -> Iterator[dict[str, Any]]:
    heads = Revision.objects.filter(number=F("trajectory__head_number"))
    for start in range(0, len(trajectories), DOCUMENTS_AT_ONCE):
        batch = trajectories[start : start + DOCUMENTS_AT_ONCE]
        documents = dict(heads.filter(trajectory__in=batch).values_list("trajectory_id", "document"))
        yield from (documents[pk] for pk in batch if pk in documents)


def _read_text(document: dict[str, Any], seen_tools: set[str]) -> Iterator[str]:
    tools = json.dumps(document.get("agent", {}).get("tool_definitions") or [], ensure_ascii=False)
    if tools not in seen_tools:
        seen_tools.add(tools)
        yield tools
    for step in document.get("steps", []):
        yield step.get("reasoning_content") or ""
        yield text_of(step.get("message") or [])
        for call in step.get("tool_calls") or []:
            yield f"{call['function_name']} {call.get('arguments_raw', '')}"
        for result in (step.get("observation") or {}).get("results", []):
            yield text_of(result.get("content") or [])


def _place_rows(sha256: str, target: Path) -> None:
    """Link a frozen file into a run directory, or copy it where links do not reach, once its hash is checked."""
    if not sha256:
        return
    source = locate_file(sha256)
    if not source.is_file():
        raise ValueError(f"The frozen file {source.name} is gone from {source.parent}.")
    with source.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ValueError(f"The frozen file {source.name} is damaged: its content has another hash.")
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
