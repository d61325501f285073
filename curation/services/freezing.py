"""Freezing a version: documents are read a few at a time, and nothing of it is seen before it is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import orjson
from django.conf import settings
from django.db import connection, transaction

from curation.action_counts import ActionCounts
from curation.composing import DATASET
from curation.models import DatasetVersion, JobState
from curation.models.dataset import Split
from curation.recipe import DatasetRecipe, hash_content, read_recipe
from curation.rule_stages import list_parts, reason_of, stage_of
from curation.selection import CHARACTERS_PER_TOKEN, LeftOutRow, Selection, explain_empty
from curation.selectors.candidates import select_candidates
from curation.selectors.version_statistics import dump_statistics
from curation.services.dataset_drafts import Draft
from curation.services.dataset_files import find_rows, locate_file, lock_files
from curation.services.dataset_rows import Built, build_rows
from curation.services.freeze_statistics import measure_rows
from curation.services.jobs import beat_job, beat_now_and_then, end_job
from curation.weights import BandSum, weigh_bands

LONGEST_REASON = 200

COPY_ROWS = """COPY curation_datasetrow (version_id, split, position, task_id, revision_id, pair_id, band, weight,
characters, content_sha256) FROM STDIN"""
COPY_LEFT_OUT = "COPY curation_leftout (version_id, trajectory_id, pair_id, band, stage, reason) FROM STDIN"

Drafts = dict[Split, Draft]


class NothingToFreeze(ValueError):
    """The recipe takes no row, or leaves none to train on; the text says why, for the person who asked."""


def freeze(version: DatasetVersion) -> None:
    """Write the rows of a version that was claimed, and end the job.

    Raises NothingToFreeze, with `version.left_out` set; JobStopped; JobLost.
    """
    recipe = read_recipe(version.recipe)
    beat_job(version, stage="choosing rows", progress=0)
    selection = select_candidates(version.dataset.project, recipe)
    version.left_out = dict(selection.left_out)
    if selection.problems:
        raise NothingToFreeze(" ".join(selection.problems))
    beat_job(version, stage="reading documents", progress_total=len(selection.candidates))
    folder = locate_file("0" * 64).parent
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        drafts = {split: stack.enter_context(Draft(folder)) for split in Split}
        actions = _write_drafts(version, recipe, selection, drafts)
        version.left_out = dict(sorted(selection.left_out.items()))
        if empty := explain_empty(selection):
            raise NothingToFreeze(empty)
        _weigh(recipe, selection, drafts[Split.TRAIN])
        beat_job(version, stage="writing files", progress=len(selection.candidates))
        beat = beat_now_and_then(version)
        prefix = f".version-{version.pk}-{version.claim}-"
        files = {split: drafts[split].keep(prefix, lambda row: row.weight, beat) for split in Split}
    beat_job(version, stage="counting")
    statistics = measure_rows(version.dataset.project, recipe, selection, drafts, actions.list_actions())
    beat_job(version, stage="saving")
    with transaction.atomic():
        lock_files()
        for sha256 in files.values():  # somebody may just have removed a version with the same rows
            find_rows(sha256)
        end_job(
            version,
            JobState.DONE,
            stage="",
            left_out=version.left_out,
            train_sha256=files[Split.TRAIN],
            eval_sha256=files[Split.EVAL],
            content_hash=hash_content(version.recipe, {split: _describe(drafts[split]) for split in Split}),
            software=f"Whetstone {settings.VERSION}",
            statistics=dump_statistics(statistics),
        )
        _copy_rows(version, drafts)
        _copy_left_out(version, recipe, selection.left_out_rows)


def _write_drafts(version: DatasetVersion, recipe: DatasetRecipe, selection: Selection, drafts: Drafts) -> ActionCounts:
    """Read every document; of the candidates, those are kept that have a row, with what was counted in it."""
    actions, offered = ActionCounts(), set[str]()
    characters, chosen = Counter[int](), Counter[int]()
    reasons: dict[int, str] = {}
    beat = beat_now_and_then(version)
    for built in build_rows(recipe, selection.candidates):
        order = built.candidate.order
        if built.content is None:
            reasons[order] = built.reason[:LONGEST_REASON]
        else:
            drafts[Split.EVAL if built.candidate.held_out else Split.TRAIN].add(built)
            characters[order] += built.characters
            chosen[order] += built.taught_characters
            if not built.candidate.held_out and not built.candidate.instruction:
                _count_actions(actions, built, offered)
        beat(len(characters) + len(reasons))
    for candidate in selection.candidates:
        candidate.tokens = characters[candidate.order] / CHARACTERS_PER_TOKEN
        candidate.chosen_tokens = chosen[candidate.order] / CHARACTERS_PER_TOKEN
    selection.left_out_rows += (
        LeftOutRow(one.trajectory_id, one.pair_id, one.task_id, one.band, one.tokens, DATASET, reasons[one.order])
        for one in selection.candidates
        if one.order in reasons
    )
    selection.candidates = [one for one in selection.candidates if one.order not in reasons]
    return actions


def _count_actions(actions: ActionCounts, built: Built, offered: set[str]) -> None:
    tools = built.content["tools"] if built.content else ""
    if tools not in offered:
        offered.add(tools)
        actions.offer_tools(tool for tool in orjson.loads(tools) if isinstance(tool, dict))
    for message in built.taught:
        actions.add_message(message)
    for message in built.avoided:
        actions.add_message(message, rejected=True)


def _weigh(recipe: DatasetRecipe, selection: Selection, train: Draft) -> None:
    """Weigh once more, by what was counted in the documents: the mean over the rows is 1."""
    rows, characters = Counter[int | None](), Counter[int | None]()
    for row in train.rows:
        if not row.candidate.instruction:
            rows[row.candidate.band] += 1
            characters[row.candidate.band] += row.characters
    sums = {band: BandSum(rows[band], characters[band] / CHARACTERS_PER_TOKEN) for band in rows}
    weights = weigh_bands(recipe, sums, selection.target)
    for candidate in selection.train:
        if not candidate.instruction:
            candidate.weight = round(weights[candidate.band], 6)


def _describe(draft: Draft) -> Iterator[str]:
    """Each row as it enters the version's hash."""
    for row in draft.rows:
        yield f"{row.content.hex()} {row.candidate.band} {row.candidate.weight}"


def _copy_rows(version: DatasetVersion, drafts: Drafts) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
        for split in Split:
            for position, row in enumerate(drafts[split].in_order()):
                one = row.candidate
                copy.write_row(
                    (version.pk, split, position, one.task_id, one.revision_id, one.pair_id, one.band, one.weight,
                     row.characters, row.content.hex())
                )  # fmt: skip


def _copy_left_out(version: DatasetVersion, recipe: DatasetRecipe, rows: Iterable[LeftOutRow]) -> None:
    """What fitted the filter: of what did not, the filter itself is the reason, and there may be a million of it."""
    filtered = {(stage_of(part), reason_of(part)) for part in list_parts(recipe.where)}
    with connection.cursor() as cursor, cursor.copy(COPY_LEFT_OUT) as copy:
        for row in rows:
            if (row.stage, row.reason) not in filtered and not row.reason.startswith("review status"):
                copy.write_row((version.pk, row.trajectory_id, row.pair_id, row.band, row.stage, row.reason))
