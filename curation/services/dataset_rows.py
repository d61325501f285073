"""Making the rows of a dataset out of documents: chat messages, tool arguments as the exact text that was recorded."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from curation.formats.document import Document, Step
from curation.formats.messages import document_to_messages
from curation.models import Revision, StepLabel
from curation.recipe import DatasetRecipe, PairRecipe, TrajectoryRecipe
from curation.revisions import count_agent_characters, split_pair_messages
from curation.selection import Candidate

DOCUMENTS_AT_ONCE = 16

Row = dict[str, Any]


@dataclass(frozen=True)
class Built:
    """A candidate's row without its weight, or None and the reason. `characters` are those of the turns trained on."""

    candidate: Candidate
    row: Row | None
    characters: int = 0
    reason: str = ""


def build_rows(recipe: DatasetRecipe, candidates: Sequence[Candidate]) -> Iterator[Built]:
    """Each candidate's row, in order; documents are read a few at a time."""
    remaining = iter(candidates)
    while batch := list(islice(remaining, DOCUMENTS_AT_ONCE)):
        if isinstance(recipe, PairRecipe):
            yield from _build_pairs(batch)
        else:
            yield from _build_trajectories(recipe, batch)


def write_line(row: Row) -> bytes:
    """A row as one line of JSON in UTF-8, its end of line included."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def list_shapes(row: Row) -> set[tuple[str, frozenset[str] | bool]]:
    """What a reader that infers types from the first rows has to have seen: kinds of messages, a band or none."""
    columns = [name for name in ("messages", "prompt", "chosen", "rejected") if name in row]
    shapes: set[tuple[str, frozenset[str] | bool]] = {("band", row["band"] is None)}
    return shapes | {(name, frozenset(message)) for name in columns for message in row[name]}


def _build_trajectories(recipe: TrajectoryRecipe, batch: Sequence[Candidate]) -> Iterator[Built]:
    revisions = Revision.objects.in_bulk([candidate.revision_id for candidate in batch])
    wrong = _find_wrong_steps(revisions) if recipe.skip_wrong_steps else {}
    for candidate in batch:
        assert candidate.revision_id is not None  # noqa: S101  # narrows the type: candidates of SFT have one
        revision = revisions[candidate.revision_id]
        document = Document.model_validate(revision.document)
        for step in document.steps:
            if step.step_id in wrong.get(revision.pk, ()):
                step.trainable = False
        messages = document_to_messages(document)
        characters = count_agent_characters(messages)
        if not characters:
            yield Built(candidate, None, reason="no turn of the agent left to train on")
            continue
        row = {
            "trajectory": candidate.trajectory_id,
            "revision": revision.pk,
            "task": candidate.task,
            "band": candidate.band,
            "messages": messages,
            "tools": _write_tools(document),
        }
        yield Built(candidate, row, characters)


def _find_wrong_steps(revisions: dict[int, Revision]) -> dict[int, set[int]]:
    """Steps labelled wrong in submitted reviews, by revision.

    A correction usually comes in the same review as the label, which then stands on the corrected step: a step that
    is not in the recorded revision was written by the reviewer, and is no longer the wrong one.
    """
    labels = StepLabel.objects.filter(
        review__revision__in=revisions, review__submitted_at__isnull=False, label=StepLabel.Label.WRONG
    )
    wrong: dict[int, set[int]] = defaultdict(set)
    for revision_id, step_id in labels.values_list("review__revision_id", "step_id"):
        wrong[revision_id].add(step_id)
    corrected = [pk for pk in wrong if revisions[pk].number > 0]
    recorded = Revision.objects.filter(trajectory__revisions__in=corrected, number=0).distinct()
    originals = {original.trajectory_id: original.document for original in recorded} if corrected else {}
    for pk in corrected:
        document = revisions[pk].document
        before = {_identify(step) for step in Document.model_validate(originals[revisions[pk].trajectory_id]).steps}
        wrong[pk] &= {step.step_id for step in Document.model_validate(document).steps if _identify(step) in before}
    return wrong


def _identify(step: Step) -> str:
    """What the agent did in a step, whatever its number is."""
    calls = [(call.function_name, call.arguments_raw) for call in step.tool_calls or []]
    message = [part.model_dump(mode="json") for part in step.message]
    return json.dumps([step.source, message, step.reasoning_content, calls], sort_keys=True)


def _build_pairs(batch: Sequence[Candidate]) -> Iterator[Built]:
    sides = [pk for candidate in batch for pk in (candidate.chosen_id, candidate.rejected_id)]
    revisions = Revision.objects.in_bulk(sides)
    for candidate in batch:
        assert candidate.chosen_id is not None  # noqa: S101  # narrows the type: candidates of DPO have both
        assert candidate.rejected_id is not None  # noqa: S101  # as above
        better = Document.model_validate(revisions[candidate.chosen_id].document)
        worse = Document.model_validate(revisions[candidate.rejected_id].document)
        try:
            prompt, chosen, rejected = split_pair_messages(better, worse, step_only=candidate.step_only)
        except ValueError as error:
            yield Built(candidate, None, reason=str(error))
            continue
        row = {
            "pair": candidate.pair_id,
            "chosen_revision": candidate.chosen_id,
            "rejected_revision": candidate.rejected_id,
            "step_only": candidate.step_only,
            "task": candidate.task,
            "band": candidate.band,
            "prompt": prompt,
            "chosen": chosen,
            "rejected": rejected,
            "tools": _write_tools(better),
        }
        yield Built(candidate, row, count_agent_characters(chosen) + count_agent_characters(rejected))


def _write_tools(document: Document) -> str:
    return json.dumps(document.agent.tool_definitions or [], ensure_ascii=False)
