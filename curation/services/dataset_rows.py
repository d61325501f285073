"""Making the rows of a dataset out of documents, in TRL's own formats: chat messages, and tool arguments as the exact
text that was recorded."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from curation.formats.document import Document, Step
from curation.formats.messages import document_to_messages
from curation.models import Revision, StepLabel
from curation.recipe import (
    DatasetRecipe,
    KTODatasetRecipe,
    PairRecipe,
    PromptCompletionDatasetRecipe,
    TrajectoryRecipe,
)
from curation.revisions import PairError, count_agent_characters, split_pair_messages
from curation.selection import Candidate

DOCUMENTS_AT_ONCE = 16

Message = dict[str, Any]


@dataclass(frozen=True)
class Built:
    """One row of a candidate, or none and the reason.

    `content` is what is learnt from, `origin` the numbers that our database has for where it comes from. `taught` are
    the messages that may bear loss, `avoided` those that are taught against; `characters` are those of both that do.
    """

    candidate: Candidate
    content: dict[str, Any] | None = None
    origin: dict[str, Any] = field(default_factory=dict)
    taught: Sequence[Message] = ()
    avoided: Sequence[Message] = ()
    reason: str = ""

    @property
    def taught_characters(self) -> int:
        return count_agent_characters(self.taught)

    @property
    def characters(self) -> int:
        return self.taught_characters + count_agent_characters(self.avoided)


def build_rows(recipe: DatasetRecipe, candidates: Sequence[Candidate]) -> Iterator[Built]:
    """The rows of each candidate, in order; documents are read a few at a time."""
    remaining = iter(candidates)
    while batch := list(islice(remaining, DOCUMENTS_AT_ONCE)):
        if isinstance(recipe, PairRecipe):
            yield from _build_pairs(batch)
        else:
            yield from _build_trajectories(recipe, batch)


def list_shapes(content: dict[str, Any]) -> set[tuple[str, frozenset[str]]]:
    """What a reader that infers types from the first rows has to have seen: the kinds of messages."""
    columns = [name for name in ("messages", "prompt", "completion", "chosen", "rejected") if name in content]
    return {(name, frozenset(message)) for name in columns for message in content[name]}


def _build_trajectories(recipe: TrajectoryRecipe, batch: Sequence[Candidate]) -> Iterator[Built]:
    revisions = Revision.objects.in_bulk([candidate.revision_id for candidate in batch])
    wrong = _find_wrong_steps(revisions) if recipe.skip_wrong_steps else {}
    for candidate in batch:
        assert candidate.revision_id is not None  # noqa: S101  # narrows the type: trajectories have one
        document = Document.model_validate(revisions[candidate.revision_id].document)
        for step in document.steps:
            if step.step_id in wrong.get(candidate.revision_id, ()):
                step.trainable = False
        messages = document_to_messages(document)
        if not count_agent_characters(messages):
            yield Built(candidate, reason="no turn of the agent left to train on")
            continue
        origin = {"trajectory": candidate.trajectory_id, "revision": candidate.revision_id}
        more = {"task": candidate.task, "tools": _write_tools(document)}
        if isinstance(recipe, PromptCompletionDatasetRecipe):
            yield from _build_turns(candidate, messages, origin, more)
        elif isinstance(recipe, KTODatasetRecipe):
            yield _build_judged(candidate, messages, origin, more)
        else:
            yield Built(candidate, {"messages": messages} | more, origin, messages)


def _build_turns(
    candidate: Candidate, messages: list[Message], origin: dict[str, Any], more: dict[str, Any]
) -> Iterator[Built]:
    """A row for each turn of the agent that is learnt from, with all that came before it as the prompt."""
    found = 0
    bare = [_without_mark(message) for message in messages]
    for index, message in enumerate(messages):
        if index and count_agent_characters([message]):
            found += 1
            content = {"prompt": bare[:index], "completion": [message], "turn": found} | more
            yield Built(candidate, content, origin, [message])
    if not found:
        yield Built(candidate, reason="nothing comes before the agent's turns")


def _build_judged(candidate: Candidate, messages: list[Message], origin: dict[str, Any], more: dict[str, Any]) -> Built:
    """KTO: what comes before the first turn that is learnt from, and the rest, which is desirable or not."""
    first = next(index for index, message in enumerate(messages) if count_agent_characters([message]))
    if not first:
        return Built(candidate, reason="nothing comes before the agent's turns")
    prompt, completion = [_without_mark(message) for message in messages[:first]], messages[first:]
    content = {"prompt": prompt, "completion": completion, "label": candidate.desirable is True} | more
    sides = (completion, ()) if candidate.desirable else ((), completion)
    return Built(candidate, content, origin, *sides)


def _without_mark(message: Message) -> Message:
    """A message of a prompt: none of these bears loss, marked or not."""
    return {key: value for key, value in message.items() if key != "trainable"}


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
        assert candidate.chosen_id is not None  # noqa: S101  # narrows the type: pairs have both
        assert candidate.rejected_id is not None  # noqa: S101  # as above
        better = Document.model_validate(revisions[candidate.chosen_id].document)
        worse = Document.model_validate(revisions[candidate.rejected_id].document)
        try:
            prompt, chosen, rejected = split_pair_messages(better, worse, step_only=candidate.step_only)
        except PairError as error:
            yield Built(candidate, reason=str(error))
            continue
        origin = {
            "pair": candidate.pair_id,
            "chosen_revision": candidate.chosen_id,
            "rejected_revision": candidate.rejected_id,
        }
        content = {
            "prompt": prompt,
            "chosen": chosen,
            "rejected": rejected,
            "step_only": candidate.step_only,
            "task": candidate.task,
            "tools": _write_tools(better),
        }
        yield Built(candidate, content, origin, chosen, rejected)


def _write_tools(document: Document) -> str:
    return json.dumps(document.agent.tool_definitions or [], ensure_ascii=False)
