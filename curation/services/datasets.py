"""Datasets: made from a recipe, and frozen into versions whose files are named by their own hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max

from curation.composing import weigh_rows
from curation.models import ACTIVE_STATES, Dataset, DatasetRow, DatasetVersion, JobState, Role
from curation.models.dataset import Split
from curation.permissions import Access
from curation.recipe import (
    DatasetRecipe,
    dump_recipe,
    hash_content,
    read_recipe,
)
from curation.selection import CHARACTERS_PER_TOKEN, Candidate, Selection
from curation.selectors.candidates import select_candidates
from curation.services.audit import record_action
from curation.services.dataset_rows import build_rows, list_shapes, write_line
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
    _clear_away(f".version-{pk}-*")  # what a killed attempt left half written
    try:
        _freeze(version)
    except NothingToFreeze as error:
        advice = "Review more trajectories or judge more pairs, or make a dataset with a wider recipe."
        end_job(version, JobState.FAILED, error=str(error), advice=advice, left_out=version.left_out)
    except JobStopped:
        end_job(version, JobState.STOPPED)
    finally:
        _clear_away(f".version-{pk}-{version.claim}-*")


def locate_file(sha256: str) -> Path:
    """Where the rows with this hash are kept. Raises ValueError for what is no hash."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError(f"{sha256!r} is no SHA-256.")
    return Path(settings.HOME) / "datasets" / f"{sha256}.jsonl"


@dataclass
class _Draft:
    """One side of a version on its way to a file: lines without weights, where each begins, and their rows.

    `heralds` are the rows that go to the front of the file: `datasets.load_dataset` infers types from the first
    10 MB, and fails at a kind of message that it meets for the first time after that.
    """

    file: IO[bytes]
    offsets: list[int] = field(default_factory=list)
    rows: list[DatasetRow] = field(default_factory=list)
    heralds: set[int] = field(default_factory=set)
    shapes: set[tuple[str, frozenset[str] | bool]] = field(default_factory=set)

    def add(self, line: dict[str, Any], row: DatasetRow) -> None:
        shapes = list_shapes(line)
        if not shapes <= self.shapes:
            self.heralds.add(len(self.rows))
            self.shapes |= shapes
        self.offsets.append(self.file.tell())
        self.file.write(write_line(line))
        self.rows.append(row)

    def read_in_order(self) -> Iterator[tuple[bytes, DatasetRow]]:
        """Lines and rows as they stand in the final file."""
        order = sorted(range(len(self.rows)), key=lambda number: (number not in self.heralds, number))
        for position, number in enumerate(order):
            self.file.seek(self.offsets[number])
            self.rows[number].position = position
            yield self.file.readline(), self.rows[number]


def _freeze(version: DatasetVersion) -> None:
    recipe = read_recipe(version.recipe)
    beat_job(version, stage="choosing rows", progress=0)
    selection = select_candidates(version.dataset.project, recipe)
    version.left_out = dict(selection.left_out)
    if selection.problems:
        raise NothingToFreeze(" ".join(selection.problems))
    beat_job(version, stage="reading documents", progress_total=len(selection.candidates))
    folder = locate_file("0" * 64).parent
    folder.mkdir(parents=True, exist_ok=True)
    # Files without a name: they vanish with the process, however it ends.
    with tempfile.TemporaryFile(dir=folder) as train, tempfile.TemporaryFile(dir=folder) as held_out:
        drafts = {Split.TRAIN: _Draft(train), Split.EVAL: _Draft(held_out)}
        _write_drafts(version, recipe, selection, drafts)
        _check_rows(version, drafts)
        beat_job(version, stage="writing files", progress=len(selection.candidates))
        hashes = {split: _keep_file(version, drafts[split]) for split in Split}
    beat_job(version, stage="saving")
    train_sha256, eval_sha256 = hashes[Split.TRAIN], hashes[Split.EVAL]
    with transaction.atomic():
        end_job(
            version,
            JobState.DONE,
            stage="",
            left_out=version.left_out,
            train_sha256=train_sha256,
            eval_sha256=eval_sha256,
            content_hash=hash_content(version.recipe, train_sha256=train_sha256, eval_sha256=eval_sha256),
        )
        rows = [row for split in Split for row in drafts[split].rows]
        DatasetRow.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)


def _write_drafts(
    version: DatasetVersion, recipe: DatasetRecipe, selection: Selection, drafts: dict[Split, _Draft]
) -> None:
    left_out = Counter(selection.left_out)
    trained: list[tuple[Candidate, DatasetRow]] = []
    beat = time.monotonic()
    for done, built in enumerate(build_rows(recipe, selection.candidates), start=1):
        candidate = built.candidate
        if built.row is None:
            left_out[built.reason] += 1
        else:
            split = Split.EVAL if candidate.held_out else Split.TRAIN
            row = DatasetRow(
                version=version,
                split=split,
                task_id=candidate.task_id,
                revision_id=candidate.revision_id,
                pair_id=candidate.pair_id,
                band=candidate.band,
                characters=built.characters,
            )
            drafts[split].add(built.row, row)
            if split == Split.TRAIN:
                candidate.tokens = built.characters / CHARACTERS_PER_TOKEN
                trained.append((candidate, row))
        if time.monotonic() - beat > BEAT_SECONDS:
            beat_job(version, progress=done)
            beat = time.monotonic()
    version.left_out = dict(sorted(left_out.items()))
    # Weighed once more, by what was counted in the documents.
    weigh_rows(recipe, [candidate for candidate, _ in trained], selection.target)
    for candidate, row in trained:
        row.weight = round(candidate.weight, 6)


def _check_rows(version: DatasetVersion, drafts: dict[Split, _Draft]) -> None:
    if drafts[Split.TRAIN].rows:
        return
    if drafts[Split.EVAL].rows:
        raise NothingToFreeze("Every task fell on the held-out side; lower the held-out share or change the seed.")
    reasons = ", ".join(f"{number} {reason}" for reason, number in version.left_out.items())
    raise NothingToFreeze(f"The recipe takes no row. Left out: {reasons or 'nothing; there is nothing to take'}.")


def _clear_away(pattern: str) -> None:
    for leftover in locate_file("0" * 64).parent.glob(pattern):
        leftover.unlink(missing_ok=True)


def _keep_file(version: DatasetVersion, draft: _Draft) -> str:
    """Add the weights to a draft's lines, keep the result as a read-only file named by its SHA-256, return that."""
    folder = locate_file("0" * 64).parent
    digest = hashlib.sha256()
    beat = time.monotonic()
    prefix = f".version-{version.pk}-{version.claim}-"
    with tempfile.NamedTemporaryFile(dir=folder, prefix=prefix, delete=False) as file:
        for line, row in draft.read_in_order():
            # Spliced into the text: there is no need to parse a line once more.
            weighted = line.removesuffix(b"}\n") + f',"weight":{row.weight}}}\n'.encode()
            digest.update(weighted)
            file.write(weighted)
            if time.monotonic() - beat > BEAT_SECONDS:
                beat_job(version)
                beat = time.monotonic()
        file.flush()
        os.fsync(file.fileno())
    path = Path(file.name)
    path.chmod(0o440)
    path.replace(locate_file(digest.hexdigest()))
    return digest.hexdigest()
