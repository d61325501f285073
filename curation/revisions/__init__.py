"""Corrections of documents, the differences between two, and what two attempts share. Pure."""

from __future__ import annotations

from curation.revisions.diff import FieldDiff, Segment, StepDiff, diff_steps, diff_words
from curation.revisions.edits import (
    DeleteStep,
    Edit,
    EditError,
    EditStep,
    InsertStep,
    NewToolCall,
    ObservationEdit,
    ToolCallEdit,
    TruncateAfter,
    apply_edit,
    apply_edits,
)
from curation.revisions.pairs import (
    PairError,
    PairMeasure,
    count_agent_characters,
    measure_pair,
    shared_prefix,
    split_pair_messages,
)

__all__ = [
    "DeleteStep",
    "Edit",
    "EditError",
    "EditStep",
    "FieldDiff",
    "InsertStep",
    "NewToolCall",
    "ObservationEdit",
    "PairError",
    "PairMeasure",
    "Segment",
    "StepDiff",
    "ToolCallEdit",
    "TruncateAfter",
    "apply_edit",
    "apply_edits",
    "count_agent_characters",
    "diff_steps",
    "diff_words",
    "measure_pair",
    "shared_prefix",
    "split_pair_messages",
]
