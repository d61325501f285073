"""Checkpoints: where their files are, and taking in models that were put on the server by hand."""

from __future__ import annotations

import json
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from curation.models import Role
from curation.permissions import Access
from curation.services.audit import record_action
from training.models import Checkpoint
from training.run_dir import Base

LONGEST_NAME = 120


def register_checkpoint(access: Access, *, name: str, path: str) -> Checkpoint:
    """Take in a model directory below one of settings.MODEL_ROOTS. Raises ValueError for anything else."""
    access.require(Role.ENGINEER)
    name = check_name(name)
    directory = resolve_model(path)
    try:
        with transaction.atomic():
            checkpoint = Checkpoint.objects.create(
                project=access.project, name=name, kind=Checkpoint.Kind.BASE, path=str(directory)
            )
            record_action(access, "checkpoint.register", name, path=str(directory))
    except IntegrityError:
        raise ValueError(f"There is a model named {name!r} already.") from None
    return checkpoint


def resolve_model(path: str) -> Path:
    """The directory behind `path`, symbolic links followed. Raises ValueError unless it is an allowed, full model."""
    if "\0" in path or not path.strip():
        raise ValueError("Name the directory of a model.")
    roots = [Path(str(root)).resolve() for root in settings.MODEL_ROOTS]
    given = Path(path.strip())
    directory = (given if given.is_absolute() else roots[0] / given).resolve()
    if not any(root in directory.parents for root in roots):
        allowed = ", ".join(map(str, roots))
        raise ValueError(f"Models are taken only from below {allowed}.")
    if not (directory / "config.json").is_file():
        raise ValueError(f"There is no model in {directory}: it has no config.json.")
    if not any(directory.glob("*.safetensors")):
        raise ValueError(f"The model in {directory} has no safetensors weights; other formats are not loaded.")
    if not (directory / "tokenizer.json").is_file():
        raise ValueError(f"The model in {directory} has no tokenizer.json.")
    try:
        json.loads((directory / "config.json").read_bytes())
    except ValueError as error:
        raise ValueError(f"The config.json in {directory} is damaged: {error}") from None
    return directory


def locate_model(checkpoint: Checkpoint) -> Base:
    """What a run or an evaluation of this checkpoint loads: a full model, and the adapter on top if it is one.

    Raises ValueError where the files are gone, or are no longer where models may be.
    """
    full = checkpoint
    while full.is_adapter:
        if full.parent is None:
            raise ValueError(f"{checkpoint} is an adapter whose model is not known.")
        full = full.parent
    path = _check_place(full)
    return Base(path=str(path), adapter=str(_check_place(checkpoint)) if checkpoint.is_adapter else None)


def check_name(name: str, *, longest: int = LONGEST_NAME) -> str:
    """A name for people: one printable line. Raises ValueError."""
    name = name.strip()
    if not name or len(name) > longest or not name.isprintable():
        raise ValueError(f"A name has 1 to {longest} characters on one line.")
    return name


def _check_place(checkpoint: Checkpoint) -> Path:
    if checkpoint.run_id is None:
        return resolve_model(checkpoint.path)
    directory = Path(checkpoint.path).resolve()
    if Path(settings.RUNS_ROOT).resolve() not in directory.parents:
        raise ValueError(f"The files of {checkpoint} are not among the runs.")
    if not directory.is_dir():
        raise ValueError(f"The files of {checkpoint} are gone: there is no {directory}.")
    return directory
