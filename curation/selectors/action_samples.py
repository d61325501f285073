"""How often each action would be taught, counted in a small random sample of documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from curation.action_counts import ActionCount, ActionCounts
from curation.formats.document import Document
from curation.formats.messages import document_to_messages
from curation.models import PreferencePair, Project, Revision, Trajectory
from curation.recipe import DatasetRecipe
from curation.revisions import PairError, split_pair_messages
from curation.selection import Candidate

MOST_ROWS = 60
MOST_CHARACTERS = 3_000_000
"""Of all documents of a sample together: reading them takes well under a second."""


@dataclass(frozen=True)
class ActionSample:
    """`rows` were read; `too_long` were drawn and passed over, since reading them would take too long."""

    rows: int
    too_long: int
    actions: list[ActionCount]


class Sample(NamedTuple):
    """Ids of the rows to read."""

    trajectories: Sequence[int] = ()
    undesirable: Sequence[int] = ()
    pairs: Sequence[int] = ()


def draw_sample(recipe: DatasetRecipe, candidates: Sequence[Candidate]) -> Sample:
    """Training rows at random; the same rows give the same sample."""
    train = [row for row in candidates if not row.held_out and not row.instruction]
    drawn = Random(recipe.seed).sample(train, min(MOST_ROWS, len(train)))  # noqa: S311  # no secret
    return Sample(
        trajectories=[row.trajectory_id for row in drawn if row.trajectory_id and row.desirable is not False],
        undesirable=[row.trajectory_id for row in drawn if row.trajectory_id and row.desirable is False],
        pairs=[row.pair_id for row in drawn if row.pair_id],
    )


def count_sampled_actions(project: Project, sample: Sample) -> ActionSample:
    """Read the rows of a sample, as far as they are of the project, and count what the agent does in them."""
    counts, rows, too_long, characters = ActionCounts(), 0, 0, 0
    wanted = [*sample.trajectories, *sample.undesirable][:MOST_ROWS]
    sizes = Trajectory.objects.filter(project=project, pk__in=wanted).order_by("pk")
    for pk, number, size in sizes.values_list("pk", "head_number", "character_count"):
        characters += size
        if characters > MOST_CHARACTERS:
            characters, too_long = characters - size, too_long + 1
            continue
        document = Document.model_validate(Revision.objects.get(trajectory=pk, number=number).document)
        _count_document(counts, document, document_to_messages(document), rejected=pk in sample.undesirable)
        rows += 1
    judged = PreferencePair.objects.filter(project=project, pk__in=sample.pairs[:MOST_ROWS]).order_by("pk")
    for pair in judged.select_related("chosen__trajectory", "rejected__trajectory").defer(
        "chosen__document", "rejected__document"
    ):
        size = pair.chosen.trajectory.character_count + pair.rejected.trajectory.character_count
        if characters + size > MOST_CHARACTERS:
            too_long += 1
            continue
        characters += size
        better, worse = (Document.model_validate(side.document) for side in (pair.chosen, pair.rejected))
        try:
            _, chosen, rejected = split_pair_messages(better, worse, step_only=pair.step_only)
        except PairError:
            continue
        _count_document(counts, better, chosen)
        _count_document(counts, worse, rejected, rejected=True)
        rows += 1
    return ActionSample(rows, too_long, counts.list_actions())


def _count_document(
    counts: ActionCounts, document: Document, messages: Sequence[dict[str, object]], *, rejected: bool = False
) -> None:
    counts.offer_tools(document.agent.tool_definitions or [])
    for message in messages:
        counts.add_message(message, rejected=rejected)
