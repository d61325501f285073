"""Corrections: each is a new revision; what it was made on never changes."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from pydantic import TypeAdapter, ValidationError

from curation.formats.cleaning import clean_text
from curation.formats.document import Document
from curation.models import Revision, Trajectory
from curation.permissions import Access
from curation.revisions.diff import StepDiff, diff_steps
from curation.revisions.edits import Edit, EditError, apply_edit
from curation.services.audit import record_action
from curation.services.import_batches import count_characters
from curation.services.pair_proposals import propose_correction_pair

_EDITS: TypeAdapter[Edit] = TypeAdapter(Edit)


class EditConflict(ValueError):
    """Somebody else corrected the trajectory since the revision that the edit was made on."""


def parse_edit(fields: dict[str, Any]) -> Edit:
    """An edit of its plain form. Raises ValueError that names the field."""
    try:
        return _EDITS.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'edit'}: {first['msg']}") from error


def preview_edit(trajectory: Trajectory, edit: Edit, *, base: int) -> list[StepDiff]:
    """What an edit would change, unsaved: the steps that differ. Raises EditConflict and EditError."""
    before, after = _apply(trajectory, edit, base=base)
    return [step for step in diff_steps(before, after) if step.kind != "same"]


def correct_trajectory(access: Access, trajectory: Trajectory, edit: Edit, *, base: int, reason: str) -> Revision:
    """The next revision, with one edit made on revision `base`.

    Raises EditConflict where `base` is not the newest revision (nothing is saved), and EditError for an edit that
    cannot be made or changes nothing. A correction of a failed attempt proposes a pair: corrected over original.
    """
    before, after = _apply(trajectory, edit, base=base)
    if all(step.kind == "same" for step in diff_steps(before, after)):
        raise EditError("Nothing was changed.")
    with transaction.atomic():
        moved = Trajectory.objects.filter(pk=trajectory.pk, head_number=base).update(
            head_number=base + 1,
            step_count=len(after.steps),
            tool_call_count=sum(len(step.tool_calls or ()) for step in after.steps),
            character_count=count_characters(after),
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


def _tell_conflict(trajectory: Trajectory, base: int) -> str:
    newest = Revision.objects.select_related("author").defer("document").filter(trajectory=trajectory).latest("number")
    return (
        f"{newest.author or 'Somebody'} corrected this trajectory in the meantime: it is at revision {newest.number}, "
        f"and your edit was made on revision {base}. Nothing was saved; look at theirs and make yours on it."
    )
