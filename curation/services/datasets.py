"""Datasets: made from a recipe, and frozen into versions whose files are named by their own hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max

from curation.models import ACTIVE_STATES, Dataset, DatasetRow, DatasetVersion, JobState, Role
from curation.models.dataset import Split
from curation.permissions import Access
from curation.recipe import (
    DatasetRecipe,
    dump_recipe,
    hash_content,
    is_held_out,
    read_recipe,
    weigh_bands,
)
from curation.selectors.candidates import Selection, select_candidates
from curation.services.audit import record_action
from curation.services.dataset_rows import build_rows, write_line
from curation.services.jobs import JobStopped, beat_job, claim_job, end_job

BEAT_SECONDS = 2.0
ROWS_AT_ONCE = 2000


class NothingToFreeze(ValueError):
    """The recipe takes no row, or leaves none to train on; the text says why, for the person who asked."""


def create_dataset(access: Access, *, name: str, recipe: Mapping[str, Any] | DatasetRecipe) -> Dataset:
    """A recipe under a name. Raises ValueError for a recipe that does not hold, or a name that is empty or taken."""
    access.require(Role.CURATOR)
    checked = read_recipe(recipe)
    name = name.strip()
    if not name or len(name) > 120 or not name.isprintable():
        raise ValueError("A dataset needs a name of 1 to 120 characters on one line.")
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(
                project=access.project, name=name, kind=checked.kind, recipe=dump_recipe(checked)
            )
            record_action(access, "dataset.create", dataset, recipe=dataset.recipe)
    except IntegrityError:
        raise ValueError(f"There is a dataset named {name!r} already.") from None
    return dataset


def create_version(access: Access, dataset: Dataset) -> DatasetVersion:
    """The next version of a dataset, waiting to be frozen: the caller sends curation.jobs.freeze_version.

    Raises ValueError while another version of it is being frozen.
    """
    access.require(Role.CURATOR)
    with transaction.atomic():
        locked = Dataset.objects.select_for_update().get(pk=dataset.pk, project=access.project)
        active = locked.versions.filter(state__in=ACTIVE_STATES).first()
        if active is not None:
            raise ValueError(f"Version {active.number} is being frozen already.")
        last = locked.versions.aggregate(last=Max("number"))["last"] or 0
        version = DatasetVersion.objects.create(
            dataset=locked, number=last + 1, recipe=locked.recipe, created_by=access.user
        )
        record_action(access, "version.freeze", version)
    return version


def freeze_version(pk: int) -> None:
    """Write a queued version's rows to files, and mark it done; it starts over where an earlier attempt was killed.

    Nothing of it is visible before the one transaction at its end, so a killed attempt leaves only temporary files.
    Raises JobLost where another worker took over.
    """
    version = claim_job(DatasetVersion, pk)
    if version is None:
        return
    try:
        _freeze(version)
    except NothingToFreeze as error:
        advice = "Review more trajectories or judge more pairs, or make a dataset with a wider recipe."
        end_job(version, JobState.FAILED, error=str(error), advice=advice, left_out=version.left_out)
    except JobStopped:
        end_job(version, JobState.STOPPED)


def locate_file(sha256: str) -> Path:
    """Where the rows with this hash are kept. Raises ValueError for what is no hash."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError(f"{sha256!r} is no SHA-256.")
    return Path(settings.HOME) / "datasets" / f"{sha256}.jsonl"


def _freeze(version: DatasetVersion) -> None:
    recipe = read_recipe(version.recipe)
    beat_job(version, stage="choosing rows", progress=0)
    selection = select_candidates(version.dataset.project, recipe)
    version.left_out = dict(selection.left_out)
    beat_job(version, stage="reading documents", progress_total=len(selection.candidates))
    folder = locate_file("0" * 64).parent
    folder.mkdir(parents=True, exist_ok=True)
    # Files without a name: they vanish with the process, however it ends.
    with tempfile.TemporaryFile(dir=folder) as train, tempfile.TemporaryFile(dir=folder) as held_out:
        drafts: dict[Split, IO[bytes]] = {Split.TRAIN: train, Split.EVAL: held_out}
        rows = _write_drafts(version, recipe, selection, drafts)
        _check_rows(version, rows)
        beat_job(version, stage="writing files", progress=len(selection.candidates))
        hashes = {split: _keep_file(version, drafts[split], [row.weight for row in rows[split]]) for split in Split}
    beat_job(version, stage="saving")
    with transaction.atomic():
        end_job(
            version,
            JobState.DONE,
            stage="",
            left_out=version.left_out,
            train_sha256=hashes[Split.TRAIN],
            eval_sha256=hashes[Split.EVAL],
            content_hash=hash_content(
                version.recipe, train_sha256=hashes[Split.TRAIN], eval_sha256=hashes[Split.EVAL]
            ),
        )
        DatasetRow.objects.bulk_create([row for split in Split for row in rows[split]], batch_size=ROWS_AT_ONCE)


def _write_drafts(
    version: DatasetVersion, recipe: DatasetRecipe, selection: Selection, drafts: dict[Split, IO[bytes]]
) -> dict[Split, list[DatasetRow]]:
    """Write each side's lines, still without weights, and return what they are made from."""
    left_out = Counter(selection.left_out)
    rows: dict[Split, list[DatasetRow]] = {split: [] for split in Split}
    beat = time.monotonic()
    for done, built in enumerate(build_rows(recipe, selection.candidates), start=1):
        candidate = built.candidate
        if built.row is None:
            left_out[built.reason] += 1
        else:
            split = Split.EVAL if is_held_out(recipe, candidate.fingerprint) else Split.TRAIN
            drafts[split].write(write_line(built.row))
            rows[split].append(
                DatasetRow(
                    version=version, split=split, position=len(rows[split]), task_id=candidate.task_id,
                    revision_id=candidate.revision_id, pair_id=candidate.pair_id, band=candidate.band,
                    characters=built.characters,
                )
            )
        if time.monotonic() - beat > BEAT_SECONDS:
            beat_job(version, progress=done)
            beat = time.monotonic()
    version.left_out = dict(sorted(left_out.items()))
    weights = weigh_bands(recipe, [row.band for row in rows[Split.TRAIN]])
    for row in rows[Split.TRAIN]:
        row.weight = round(weights[row.band], 6)
    return rows


def _check_rows(version: DatasetVersion, rows: dict[Split, list[DatasetRow]]) -> None:
    if rows[Split.TRAIN]:
        return
    if rows[Split.EVAL]:
        raise NothingToFreeze("Every task fell on the held-out side; lower the held-out share or change the seed.")
    reasons = ", ".join(f"{number} {reason}" for reason, number in version.left_out.items())
    raise NothingToFreeze(f"The recipe takes no row. Left out: {reasons or 'nothing; there is nothing to take'}.")


def _keep_file(version: DatasetVersion, draft: IO[bytes], weights: list[float]) -> str:
    """Add the weights to a draft's lines, keep the result as a read-only file named by its SHA-256, return that."""
    folder = locate_file("0" * 64).parent
    for leftover in folder.glob(f".version-{version.pk}-*"):
        leftover.unlink(missing_ok=True)
    digest = hashlib.sha256()
    draft.seek(0)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".version-{version.pk}-", delete=False) as file:
        for line, weight in zip(draft, weights, strict=True):
            # Spliced into the text: parsing would have to hold every line once more.
            weighted = line.removesuffix(b"}\n") + f',"weight":{weight}}}\n'.encode()
            digest.update(weighted)
            file.write(weighted)
        file.flush()
        os.fsync(file.fileno())
    path = Path(file.name)
    path.chmod(0o440)
    path.replace(locate_file(digest.hexdigest()))
    return digest.hexdigest()
