"""Corrections of documents, the differences between two, and what two attempts share. Pure."""

from __future__ import annotations

from curation.revisions.diff import FieldDiff, Segment, StepDiff, diff_split, diff_steps, diff_words
from curation.revisions.edit_kinds import (
    MAX_TEXT,
    DeleteStep,
    Edit,
    EditError,
    EditStep,
    InsertStep,
    NewToolCall,
    ObservationEdit,
    SplitHalf,
    SplitStep,
    ToolCallEdit,
    TruncateAfter,
)
from curation.revisions.edits import apply_edit, apply_edits
from curation.revisions.pairs import (
    PairError,
    PairMeasure,
    count_agent_characters,
    measure_pair,
    shared_prefix,
    split_pair_messages,
)
from curation.revisions.splitting import divide_text
from curation.revisions.step_numbers import changes_numbers, move_step

__all__ = [
    "MAX_TEXT",
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
    "SplitHalf",
    "SplitStep",
    "StepDiff",
    "ToolCallEdit",
    "TruncateAfter",
    "apply_edit",
    "apply_edits",
    "changes_numbers",
    "count_agent_characters",
    "diff_split",
    "diff_steps",
    "diff_words",
    "divide_text",
    "measure_pair",
    "move_step",
    "shared_prefix",
    "split_pair_messages",
]
