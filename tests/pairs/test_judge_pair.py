from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from curation.models import AuditEntry, Judgement, PreferencePair, Project, Role
from curation.permissions import Access
from curation.selectors.pairs import find_next_pair
from curation.services.pair_proposals import propose_pairs
from curation.services.pairs import PairAnswer, choose_sides, judge_pair
from tests.factories import make_member, make_project, make_task, make_trajectory, owner_access

pytestmark = pytest.mark.django_db
MIRRORED = {
    "left-much-better": "right-much-better",
    "left-better": "right-better",
    "left-slightly-better": "right-slightly-better",
    "tie": "tie",
    "both-bad": "both-bad",
}


def make_pair(project: Project, *, band: int | None = None) -> PreferencePair:
    task = make_task(project, band=band)
    make_trajectory(project, "look", "take", task=task)
    make_trajectory(project, "look", "drop", task=task, success=False)
    propose_pairs(owner_access(project))
    return PreferencePair.objects.get(task=task)


def judge(access: Access, pair: PreferencePair, answer: str, *, swapped: bool = False) -> PreferencePair:
    """Judge with the older revision, which is the proposed winner, on the left; `swapped`: on the right."""
    sides = sorted([pair.chosen_id, pair.rejected_id], reverse=swapped)
    judge_pair(access, pair, PairAnswer(answer, sides[0], sides[1]))
    return PreferencePair.objects.get(pk=pair.pk)


def test_a_judgement_confirms_the_pair_with_its_strength() -> None:
    project = make_project()
    pair = make_pair(project)
    judged = judge(make_member(project), pair, "left-better")
    assert (judged.status, judged.strength, judged.chosen_id) == ("confirmed", 2, pair.chosen_id)


def test_the_side_that_wins_becomes_the_chosen_one() -> None:
    project = make_project()
    pair = make_pair(project)
    winner, loser = pair.chosen_id, pair.rejected_id
    judged = judge(make_member(project), pair, "right-slightly-better")
    assert (judged.chosen_id, judged.rejected_id) == (loser, winner)
    assert (judged.status, judged.strength) == ("confirmed", 1)


@pytest.mark.parametrize(("answer", "status"), [("tie", "tie"), ("both-bad", "both-bad")])
def test_a_pair_without_a_winner_has_no_strength(answer: str, status: str) -> None:
    project = make_project()
    judged = judge(make_member(project), make_pair(project), answer)
    assert (judged.status, judged.strength) == (status, None)


def test_a_reviewer_changes_their_own_judgement_and_never_has_two() -> None:
    project = make_project()
    pair, access = make_pair(project), make_member(project)
    loser = pair.rejected_id
    judge(access, pair, "left-better")
    changed = judge(access, pair, "right-much-better")
    assert Judgement.objects.count() == 1
    assert (changed.chosen_id, changed.strength) == (loser, 3)
    entry = AuditEntry.objects.get(action="judgement.change")
    assert entry.details == {"before": "left-better", "after": "right-much-better"}


def test_the_majority_decides_and_an_equal_split_is_a_tie() -> None:
    project = make_project()
    pair = make_pair(project)
    low, high = sorted([pair.chosen_id, pair.rejected_id])
    judge(make_member(project), pair, "left-much-better")
    assert judge(make_member(project), pair, "right-better").status == "tie"
    third = judge(make_member(project), pair, "left-better", swapped=True)
    assert (third.status, third.strength, third.chosen_id) == ("confirmed", 2, high)
    assert third.rejected_id == low


def test_sides_of_another_pair_are_refused_and_nothing_changes() -> None:
    project = make_project()
    pair, other = make_pair(project), make_pair(project)
    with pytest.raises(ValueError, match="not the two sides"):
        judge_pair(make_member(project), pair, PairAnswer("tie", pair.chosen_id, other.rejected_id))
    with pytest.raises(ValueError, match="Choose an answer"):
        judge_pair(make_member(project), pair, PairAnswer("", pair.chosen_id, pair.rejected_id))
    assert PreferencePair.objects.get(pk=pair.pk).status == "proposed"


def test_only_a_reviewer_judges() -> None:
    project = make_project()
    with pytest.raises(PermissionDenied):
        judge(make_member(project, Role.ENGINEER), make_pair(project), "tie")


def test_sides_stay_for_one_reviewer_whoever_wins_and_differ_between_reviewers() -> None:
    project = make_project()
    pair = make_pair(project)
    access = make_member(project)
    before = choose_sides(access, pair)
    judge(access, pair, "right-better")
    assert choose_sides(access, PreferencePair.objects.get(pk=pair.pk)) == before
    seen = {choose_sides(make_member(project), pair).left_id for _ in range(20)}
    assert seen == {pair.chosen_id, pair.rejected_id}


def test_hard_bands_come_first_and_judged_pairs_not_again() -> None:
    project = make_project()
    make_pair(project, band=1)
    hard = make_pair(project, band=5)
    make_pair(project)
    access = make_member(project)
    assert find_next_pair(access) == hard
    judge(access, hard, "tie")
    following = find_next_pair(access)
    assert following is not None
    assert following.task.band == 1


def test_skipping_walks_through_all_open_pairs_and_around() -> None:
    project = make_project()
    pairs = {make_pair(project, band=band).pk for band in (3, 3, 3, None)}
    access = make_member(project)
    walked, pair = [], find_next_pair(access)
    for _ in range(4):
        assert pair is not None
        walked.append(pair.pk)
        pair = find_next_pair(access, after=pair)
    assert set(walked) == pairs
    assert pair is not None
    assert pair.pk == walked[0]


class AnyJudgements(TestCase):
    @settings(max_examples=15, deadline=None)
    @given(answers=st.lists(st.tuples(st.sampled_from(sorted(MIRRORED)), st.booleans()), min_size=1, max_size=4))
    def test_it_does_not_matter_on_which_side_a_revision_was_shown(self, answers: list[tuple[str, bool]]) -> None:
        project = make_project()
        plain, mirrored = make_pair(project), make_pair(project)
        for answer, swapped in answers:
            access = make_member(project)
            plain = judge(access, plain, answer, swapped=swapped)
            mirrored = judge(access, mirrored, MIRRORED[answer], swapped=not swapped)
        assert (plain.status, plain.strength) == (mirrored.status, mirrored.strength)
        assert (plain.chosen_id < plain.rejected_id) == (mirrored.chosen_id < mirrored.rejected_id)
        assert (plain.strength is None) == (plain.status != "confirmed")
