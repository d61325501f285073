"""Corrections beside one another and beside reviews: one of two wins, and labels follow their steps."""

from __future__ import annotations

from typing import Any

import pytest

from curation.models import Reservation, Review, Revision, Trajectory
from curation.permissions import Access
from curation.services.corrections import EditConflict, correct_trajectory, parse_edit
from curation.services.queues import create_queue, take_next
from curation.services.reviews import Answer, save_draft, submit_review
from tests.at_once import at_once
from tests.factories import make_member, make_project, make_trajectory, owner_access

pytestmark = pytest.mark.django_db
LABELS = {3: "correct", 4: "wrong", 5: "neutral", 6: "correct"}


def hold(wanted: int = 1) -> tuple[Trajectory, list[tuple[Access, Reservation]]]:
    """A trajectory of six steps, held by as many reviewers."""
    project = make_project()
    trajectory = make_trajectory(project, "look", "take", "drop", "open")
    queue = create_queue(
        owner_access(project), name="Queue", trajectories=Trajectory.objects.all(), reviews_wanted=wanted
    )
    holders = []
    for _ in range(wanted):
        person = make_member(project)
        reservation = take_next(person, queue)
        assert reservation is not None
        holders.append((person, reservation))
    return trajectory, holders


def labels_of(review: Review) -> dict[int, str]:
    return {label.step_id: label.label for label in review.step_labels.all()}


@pytest.mark.django_db(transaction=True)
def test_of_two_corrections_at_once_one_wins_and_the_other_is_told() -> None:
    project = make_project()
    trajectory = make_trajectory(project, "look", "take")
    access = owner_access(project)

    def correct(words: str) -> Revision:
        mine = Trajectory.objects.get(pk=trajectory.pk)
        edit = parse_edit({"kind": "edit", "step_id": 3, "message": words})
        return correct_trajectory(access, mine, edit, base=0, reason=words)

    results = at_once(lambda: correct("Mine."), lambda: correct("Yours."))
    (won,) = [result for result in results if isinstance(result, Revision)]
    (told,) = [result for result in results if isinstance(result, EditConflict)]
    assert "it is at revision 1, and your edit was made on revision 0" in str(told)
    assert Revision.objects.filter(trajectory=trajectory).count() == 2
    assert won.document["steps"][2]["message"][0]["text"] == won.reason


@pytest.mark.django_db(transaction=True)
def test_a_correction_and_a_submit_at_once_both_come_through() -> None:
    trajectory, [(person, reservation)] = hold()
    save_draft(person, reservation, Answer(labels=LABELS))
    edit = parse_edit({"kind": "delete", "step_id": 3})
    correction, review = at_once(
        lambda: correct_trajectory(owner_access(trajectory.project), trajectory, edit, base=0, reason=""),
        lambda: submit_review(person, reservation, Answer(verdict="accept", labels=LABELS)),
    )
    assert correction.number == 1
    assert review.submitted_at is not None
    last = max(LABELS) - review.revision.number  # of the newest revision that was read there is a step less
    assert labels_of(review) == {step: label for step, label in LABELS.items() if step <= last}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            {"kind": "insert", "after_step_id": 3, "message": "x"},
            {3: "correct", 5: "wrong", 6: "neutral", 7: "correct"},
        ),
        ({"kind": "delete", "step_id": 3}, {3: "wrong", 4: "neutral", 5: "correct"}),
        ({"kind": "delete", "step_id": 4}, {3: "correct", 4: "neutral", 5: "correct"}),
        ({"kind": "truncate", "step_id": 4}, {3: "correct", 4: "wrong"}),
        (
            {"kind": "split", "step_id": 4, "first": {"message": "x"}, "second": {}},
            {3: "correct", 4: "wrong", 6: "neutral", 7: "correct"},
        ),
        ({"kind": "edit", "step_id": 4, "message": "x"}, LABELS),
    ],
)
def test_labels_of_drafts_follow_their_steps(edit: dict[str, Any], expected: dict[int, str]) -> None:
    trajectory, holders = hold(wanted=2)
    drafts = [save_draft(person, held, Answer(labels=LABELS, first_error=4)) for person, held in holders]
    correct_trajectory(owner_access(trajectory.project), trajectory, parse_edit(edit), base=0, reason="")
    for draft in drafts:
        draft.refresh_from_db()
        assert draft.revision.number == 1
        assert labels_of(draft) == expected
        first = draft.step_labels.filter(first_error=True).first()
        wrong = next((step for step, label in expected.items() if label == "wrong"), None)
        assert (first.step_id if first else None) == wrong


def test_labels_follow_through_one_correction_after_another() -> None:
    trajectory, [(person, held)] = hold()
    draft = save_draft(person, held, Answer(labels=LABELS))
    edits: list[dict[str, Any]] = [
        {"kind": "edit", "step_id": 3, "message": "x"},
        {"kind": "delete", "step_id": 3},
        {"kind": "insert", "after_step_id": 1, "message": "x"},
    ]
    for number, edit in enumerate(edits):
        correct_trajectory(owner_access(trajectory.project), trajectory, parse_edit(edit), base=number, reason="")
    assert labels_of(draft) == {4: "wrong", 5: "neutral", 6: "correct"}


def test_a_draft_that_a_page_wrote_on_an_older_revision_keeps_the_numbers_of_that_one() -> None:
    trajectory, [(person, held)] = hold()
    access = owner_access(trajectory.project)
    correct_trajectory(access, trajectory, parse_edit({"kind": "delete", "step_id": 3}), base=0, reason="")
    draft = save_draft(person, held, Answer(labels={4: "wrong"}, revision=0))
    correct_trajectory(access, trajectory, parse_edit({"kind": "delete", "step_id": 3}), base=1, reason="")
    draft.refresh_from_db()
    assert (draft.revision.number, labels_of(draft)) == (0, {4: "wrong"})


def test_submitted_reviews_and_drafts_of_others_stay_as_they_were() -> None:
    trajectory, [(person, held)] = hold()
    review = submit_review(person, held, Answer(verdict="reject", labels=LABELS))
    _, [(stranger, elsewhere)] = hold()
    other = save_draft(stranger, elsewhere, Answer(labels=LABELS))
    edit = parse_edit({"kind": "delete", "step_id": 3})
    correct_trajectory(owner_access(trajectory.project), trajectory, edit, base=0, reason="")
    assert labels_of(review) == labels_of(other) == LABELS
    review.refresh_from_db()
    assert review.revision.number == 0
