"""Launching, stopping and resuming training runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from pydantic import ValidationError

from curation.models import DatasetVersion, JobState, Role
from curation.models.dataset import Split
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.jobs import request_stop, requeue_job
from training import run_dir
from training.models import Checkpoint, Run
from training.recipes import PRESETS, DPORecipe, Preset, SFTRecipe
from training.services.checkpoints import check_name, locate_model

LONGEST_NAME = 100  # leaves room for what is made out of it: "tiny base (<name>)"
RECIPES: dict[str, type[SFTRecipe] | type[DPORecipe]] = {"sft": SFTRecipe, "dpo": DPORecipe}


class KeyReused(ValueError):
    """An idempotency key came with another launch than the first time."""


def parse_recipe(method: str, values: Mapping[str, Any], *, preset: str | None = None) -> SFTRecipe | DPORecipe:
    """A recipe from a preset's values, or the method's own, with `values` put over them. Raises ValueError."""
    if method not in RECIPES:
        raise ValueError(f"There is no method {method!r}; there are {', '.join(RECIPES)}. Export other kinds.")
    basis = get_preset(preset).model_dump()[method] if preset else {}
    try:
        return RECIPES[method].model_validate({**basis, **values})
    except ValidationError as error:
        raise ValueError(run_dir.describe_error(error)) from None


def get_preset(slug: str) -> Preset:
    """Raises ValueError where there is none of that name."""
    for preset in PRESETS:
        if preset.slug == slug:
            return preset
    raise ValueError(f"There is no preset {slug!r}; there are {', '.join(preset.slug for preset in PRESETS)}.")


def launch_run(
    access: Access,
    *,
    name: str,
    method: str,
    version: DatasetVersion,
    base: Checkpoint | None,
    recipe: Mapping[str, Any] | SFTRecipe | DPORecipe,
    key: str = "",
) -> Run:
    """A queued run of `method` on a frozen dataset version, starting from `base` or from a tiny model made for it.

    The caller sends training.jobs.supervise_run. A second launch with the same `key` returns the first one's run.
    Raises ValueError for a launch that cannot work, with the reason.
    """
    access.require(Role.ENGINEER)
    checked = parse_recipe(method, recipe if isinstance(recipe, Mapping) else recipe.model_dump())
    name = check_name(name, longest=LONGEST_NAME)
    if len(key) > 100 or not key.isprintable():
        raise ValueError("An idempotency key has at most 100 printable characters.")
    wanted = Run(
        project=access.project,
        name=name,
        method=method,
        dataset_version=version,
        base=base,
        recipe=checked.model_dump(),
        idempotency_key=key,
        created_by=access.user,
    )
    earlier = _find_by_key(access, key)
    if earlier is not None:
        return _check_same(earlier, wanted)
    _check_version(access, version, method)
    _check_base(access, base)
    try:
        with transaction.atomic():
            wanted.save(force_insert=True)
            record_action(
                access,
                "run.launch",
                name,
                run=wanted.pk,
                version=version.pk,
                base=base.pk if base else None,
                recipe=wanted.recipe,
            )
    except IntegrityError:
        earlier = _find_by_key(access, key)
        if earlier is not None:
            return _check_same(earlier, wanted)
        raise ValueError(f"There is a run named {name!r} already.") from None
    return wanted


def stop_run(access: Access, run: Run) -> None:
    """Ask a run to save a checkpoint and stop. Raises ValueError where it has ended already."""
    access.require(Role.ENGINEER)
    with transaction.atomic():
        if not request_stop(run):
            raise ValueError(f"{run} has ended already.")
        record_action(access, "run.stop", run, run=run.pk)
    if run.directory.is_dir():  # the engine may be at work though no worker watches it just now
        run_dir.request_stop(run.directory)


def resume_run(access: Access, run: Run) -> None:
    """Queue a stopped or failed run again; it goes on from its last checkpoint. The caller sends it.

    Raises ValueError where it is neither (a second click, say).
    """
    access.require(Role.ENGINEER)
    with transaction.atomic():
        if not requeue_job(run):
            raise ValueError(f"{run} is not stopped: there is nothing to resume.")
        Run.objects.filter(pk=run.pk, state=JobState.QUEUED).update(pid=None)
        record_action(access, "run.resume", run, run=run.pk)


def suggest_name(access: Access, method: str) -> str:
    """The first free name of the form "sft-12"."""
    taken = set(
        Run.objects.filter(project=access.project, name__startswith=f"{method}-").values_list("name", flat=True)
    )
    return next(name for number in range(1, len(taken) + 2) if (name := f"{method}-{number}") not in taken)


def _find_by_key(access: Access, key: str) -> Run | None:
    return Run.objects.filter(project=access.project, idempotency_key=key).first() if key else None


def _check_same(earlier: Run, wanted: Run) -> Run:
    for field in ("name", "method", "dataset_version_id", "base_id", "recipe"):
        if getattr(earlier, field) != getattr(wanted, field):
            raise KeyReused("This idempotency key was used for another launch.")
    return earlier


def _check_version(access: Access, version: DatasetVersion, method: str) -> None:
    if version.dataset.project_id != access.project.pk:
        raise ValueError("The dataset is not one of this project.")
    if version.dataset.kind != method:
        raise ValueError(f"{version} holds rows for {version.dataset.kind.upper()}, not for {method.upper()}.")
    if version.state != JobState.DONE:
        raise ValueError(f"{version} is not frozen yet; wait until it is done.")
    if not version.rows.filter(split=Split.TRAIN).exists():
        raise ValueError(f"{version} has no rows to train on: its recipe leaves nothing, or holds everything out.")


def _check_base(access: Access, base: Checkpoint | None) -> None:
    if base is None:
        return
    if base.project_id != access.project.pk:
        raise ValueError("The model to start from is not one of this project.")
    locate_model(base)
