"""Which number a step has after an edit: what was said of a step follows it."""

from __future__ import annotations

from curation.revisions.edit_kinds import DeleteStep, Edit, EditStep, InsertStep, SplitStep, TruncateAfter


def changes_numbers(edit: Edit) -> bool:
    """Whether some step may have another number, or be gone, after the edit."""
    return not isinstance(edit, EditStep)


def move_step(edit: Edit, step_id: int) -> int | None:
    """The number after the edit of the step that had `step_id` before it; None where it is gone.

    A step that was split goes on as its first half: nobody has judged the second by itself yet, and a label that
    is missing misleads less than one that was given to something else.
    """
    if isinstance(edit, InsertStep):
        return step_id + 1 if step_id > edit.after_step_id else step_id
    if isinstance(edit, SplitStep):
        return step_id + 1 if step_id > edit.step_id else step_id
    if isinstance(edit, DeleteStep):
        return None if step_id == edit.step_id else step_id - 1 if step_id > edit.step_id else step_id
    if isinstance(edit, TruncateAfter):
        return step_id if step_id <= edit.step_id else None
    return step_id
