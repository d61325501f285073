"""What a reviewer has written of an item so far, as the newest revision shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from curation.formats.document import Document
from curation.models import Reservation, Review, Revision, StepLabel
from curation.revisions.diff import diff_steps


@dataclass(frozen=True)
class Draft:
    """`labels` and `modes` are by step of the revision that is shown; a label whose step is gone is left out.

    `read_before` is the number of the revision that its reviewer read last, where somebody else corrected it since.
    """

    review: Review | None = None
    labels: dict[int, str] = field(default_factory=dict)
    modes: dict[int, str] = field(default_factory=dict)
    first_error: int | None = None
    read_before: int | None = None


def read_draft(reservation: Reservation, shown: Revision) -> Draft:
    """The holder's own answer to an item, submitted or not. `shown` is the newest revision of its trajectory."""
    drafts = Review.objects.filter(item_id=reservation.item_id, reviewer_id=reservation.reviewer_id)
    drafts = drafts.select_related("rubric", "revision").defer("revision__document")
    review = drafts.prefetch_related("step_labels").first()
    if review is None:
        return Draft()
    labels = _follow_steps(list(review.step_labels.all()), review.revision, shown)
    return Draft(
        review=review,
        labels={step: label.label for step, label in labels.items()},
        modes={step: label.failure_mode for step, label in labels.items()},
        first_error=next((step for step, label in labels.items() if label.first_error), None),
        read_before=_find_read_before(review, shown),
    )


def _follow_steps(labels: list[StepLabel], base: Revision, shown: Revision) -> dict[int, StepLabel]:
    """Labels count the steps of their review's own revision: here, by the steps of the one that is shown."""
    if base.pk == shown.pk or not labels:
        return {label.step_id: label for label in labels}
    changes = diff_steps(Document.model_validate(base.document), Document.model_validate(shown.document))
    follows = {change.old: change.new for change in changes if change.old and change.new}
    return {step: label for label in labels if (step := follows.get(label.step_id))}


def _find_read_before(review: Review, shown: Revision) -> int | None:
    if review.revision.number < shown.number:
        return review.revision.number
    if not shown.number or shown.author_id == review.reviewer_id or shown.created_at < review.saved_at:
        return None
    read = Revision.objects.filter(trajectory=review.trajectory_id, created_at__lte=review.saved_at)
    return read.order_by("-number").values_list("number", flat=True).first()
