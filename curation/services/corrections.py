"""Corrections: each is a new revision; what it was made on never changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.db.models import F
from pydantic import TypeAdapter, ValidationError

from curation.formats.cleaning import clean_text
from curation.formats.document import Document, ToolCall
from curation.measures import measure_document
from curation.models import Review, Revision, StepLabel, Trajectory
from curation.permissions import Access
from curation.revisions import (
    Edit,
    EditError,
    EditStep,
    InsertStep,
    SplitStep,
    StepDiff,
    apply_edit,
    changes_numbers,
    diff_split,
    diff_steps,
    move_step,
)
from curation.revisions.tool_schema import check_call
from curation.services.audit import record_action
from curation.services.pair_proposals import propose_correction_pair

_EDITS: TypeAdapter[Edit] = TypeAdapter(Edit)


class EditConflict(ValueError):
    """Somebody else corrected the trajectory since the revision that the edit was made on."""


@dataclass(frozen=True)
class Preview:
    """The steps that an edit would change, and what its calls have against their tools' schemas, a sentence each."""

    changes: list[StepDiff]
    warnings: list[str]


def parse_edit(fields: dict[str, Any]) -> Edit:
    """An edit of its plain form. Raises ValueError that names the field."""
    try:
        return _EDITS.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "edit"
        raise ValueError(clean_text(f"{place}: {first['msg']}")[0][:400]) from error


def preview_edit(trajectory: Trajectory, edit: Edit, *, base: int) -> Preview:
    """What an edit would change, unsaved. Raises EditConflict and EditError."""
    before, after = _apply(trajectory, edit, base=base)
    if isinstance(edit, SplitStep):
        changes = diff_split(before, after, edit.step_id)
    else:
        changes = [step for step in diff_steps(before, after) if step.kind != "same"]
    warnings = [
        f"{call.function_name}: {problem}"
        for call in _typed_calls(edit, after)
        for problem in check_call(call.function_name, call.arguments_raw, after.agent.tool_definitions).problems
    ]
    return Preview(changes, warnings)


def correct_trajectory(access: Access, trajectory: Trajectory, edit: Edit, *, base: int, reason: str) -> Revision:
    """The next revision, with one edit made on revision `base`.

    Raises EditConflict where `base` is not the newest revision (nothing is saved), and EditError for an edit that
    cannot be made or changes nothing. A correction of a failed attempt proposes a pair: corrected over original.
    """
    before, after = _apply(trajectory, edit, base=base)
    if isinstance(edit, EditStep) and all(step.kind == "same" for step in diff_steps(before, after)):
        raise EditError("Nothing was changed.")
    with transaction.atomic():
        moved = Trajectory.objects.filter(pk=trajectory.pk, head_number=base).update(
            head_number=base + 1,
            **asdict(measure_document(after)),
        )
        if not moved:
            raise EditConflict(_tell_conflict(trajectory, base))
        revision = Revision.objects.create(
            trajectory=trajectory,
            number=base + 1,
            document=after.model_dump(mode="json"),
            author=access.user,
            reason=clean_text(reason)[0].strip()[:300],
        )
        _move_drafts(trajectory, edit, base=base, revision=revision)
        trajectory.refresh_from_db()
        record_action(access, "trajectory.correct", trajectory.pk, revision=revision.number)
        if trajectory.success is False:
            propose_correction_pair(trajectory)
    return revision


def _apply(trajectory: Trajectory, edit: Edit, *, base: int) -> tuple[Document, Document]:
    if trajectory.head_number != base:
        raise EditConflict(_tell_conflict(trajectory, base))
    stored = Revision.objects.get(trajectory=trajectory, number=base)
    before = Document.model_validate(stored.document)
    return before, apply_edit(before, edit)


def _typed_calls(edit: Edit, after: Document) -> list[ToolCall]:
    """The calls of the new document that an edit wrote."""
    if isinstance(edit, InsertStep):
        return after.steps[edit.after_step_id].tool_calls or []
    if isinstance(edit, EditStep):
        typed = {change.tool_call_id for change in edit.tool_calls}
        return [call for call in after.steps[edit.step_id - 1].tool_calls or [] if call.tool_call_id in typed]
    return []


def _move_drafts(trajectory: Trajectory, edit: Edit, *, base: int, revision: Revision) -> None:
    """Drafts on the revision that was corrected go on to the new one, and their labels follow their steps.

    The labels of a review always count the steps of its own revision. A label whose step is gone goes with it.
    Submitted reviews are tied to the revision that they were made on. The caller has locked the trajectory's row, as
    whoever writes a draft does.
    """
    drafts = Review.objects.filter(trajectory=trajectory, submitted_at=None, revision__number=base)
    labels = StepLabel.objects.filter(review__in=drafts) if changes_numbers(edit) else StepLabel.objects.none()
    moved, gone = [], []
    for label in labels:
        number = move_step(edit, label.step_id)
        if number is None:
            gone.append(label.pk)
        elif number != label.step_id:
            label.step_id = -number
            moved.append(label)
    StepLabel.objects.filter(pk__in=gone).delete()
    # By way of negative numbers: at no moment may two labels of a review stand at the same step.
    StepLabel.objects.bulk_update(moved, ["step_id"])
    StepLabel.objects.filter(pk__in=[label.pk for label in moved]).update(step_id=-F("step_id"))
    drafts.update(revision=revision)


def _tell_conflict(trajectory: Trajectory, base: int) -> str:
    newest = Revision.objects.select_related("author").defer("document").filter(trajectory=trajectory).latest("number")
    return (
        f"{newest.author or 'Somebody'} corrected this trajectory in the meantime: it is at revision {newest.number}, "
        f"and your edit was made on revision {base}. Nothing was saved; look at theirs and make yours on it."
    )
