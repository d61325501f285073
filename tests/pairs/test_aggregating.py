"""Several judgements of a pair: who decides, how sure the result is, and taking one back."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from curation.models import AuditEntry, Judgement, PreferencePair, Project, Role
from curation.permissions import Access
from curation.services.pair_proposals import propose_pairs
from curation.services.pairs import decide_pair, record_judgement, withdraw_judgement
from tests.at_once import at_once
from tests.factories import make_member, make_project, make_task, make_trajectory, owner_access
from tests.imports.files import as_lines, import_content
from tests.pairs.cast import answer_for, make_pairs

pytestmark = pytest.mark.django_db


def judge(access: Access, pair: PreferencePair, winner: int | None, **fields: Any) -> Judgement:
    return record_judgement(access, pair, answer_for(access, pair, winner=winner, **fields))


def state(pair: PreferencePair) -> tuple[str, int, int | None]:
    pair = PreferencePair.objects.get(pk=pair.pk)
    return pair.status, pair.chosen_id, pair.strength


def test_a_curators_decision_counts_over_the_majority() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    winner, loser = pair.chosen_id, pair.rejected_id
    for _ in range(2):
        judge(make_member(project), pair, winner)
    curator = make_member(project, Role.CURATOR)
    decide_pair(curator, pair, answer_for(curator, pair, winner=loser, strength="much-better"))
    assert state(pair) == ("confirmed", loser, 3)
    judge(make_member(project), pair, winner)
    assert state(pair) == ("confirmed", loser, 3)
    decide_pair(curator, pair, answer_for(curator, pair, winner=None))
    assert state(pair)[0] == "tie"
    assert AuditEntry.objects.filter(action="pair.decide").count() == 2


def test_one_curator_decides_and_the_next_is_told_who() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    one, other = make_member(project, Role.CURATOR), make_member(project, Role.CURATOR)
    decide_pair(one, pair, answer_for(one, pair, winner=pair.chosen_id))
    with pytest.raises(ValueError, match=f"{one.user.username} has decided"):
        decide_pair(other, pair, answer_for(other, pair, winner=pair.rejected_id))
    with pytest.raises(PermissionDenied):
        decide_pair(make_member(project), pair, answer_for(one, pair, winner=None))


def test_a_judgement_taken_back_is_as_if_it_had_never_been_given() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    before = PreferencePair.objects.values().get()
    access = make_member(project)
    judgement = judge(access, pair, pair.rejected_id)
    with pytest.raises(ValueError, match="nothing of yours"):
        withdraw_judgement(make_member(project), judgement)
    assert withdraw_judgement(access, judgement) is None
    assert PreferencePair.objects.values().get() == before
    with pytest.raises(ValueError, match="nothing of yours"):
        withdraw_judgement(access, judgement)
    assert AuditEntry.objects.filter(action="judgement.withdraw").count() == 1


def test_what_others_said_counts_when_a_decision_is_taken_back() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    loser = pair.rejected_id
    judge(make_member(project), pair, loser)
    curator = make_member(project, Role.CURATOR)
    decision = decide_pair(curator, pair, answer_for(curator, pair, winner=None))
    assert state(pair)[0] == "tie"
    withdraw_judgement(curator, decision)
    assert state(pair) == ("confirmed", loser, 2)


def test_an_imported_pair_holds_as_it_was_imported_when_nobodys_word_is_left() -> None:
    record = {
        "prompt": [{"role": "user", "content": "Say it."}],
        "chosen": [{"role": "assistant", "content": "one"}],
        "rejected": [{"role": "assistant", "content": "two"}],
    }
    access = owner_access(make_project())
    import_content(access, as_lines([record]))
    pair = PreferencePair.objects.get()
    chosen = pair.chosen_id
    judgement = judge(access, pair, pair.rejected_id)
    assert state(pair)[:2] == ("confirmed", judgement.left_id + judgement.right_id - chosen)
    withdraw_judgement(access, judgement)
    assert state(pair) == ("confirmed", chosen, None)


def test_the_confidence_of_a_pair_by_itself_is_its_share_of_wins() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    judge(make_member(project), pair, pair.chosen_id)
    assert PreferencePair.objects.get().confidence == pytest.approx(2 / 3)
    judge(make_member(project), pair, pair.chosen_id)
    assert PreferencePair.objects.get().confidence == pytest.approx(3 / 4)
    access = make_member(project)
    answer = answer_for(access, pair, winner=None)
    record_judgement(access, pair, type(answer)("both-bad", answer.left_id, answer.right_id))
    assert PreferencePair.objects.get().confidence == pytest.approx(3 / 4), "both bad says nothing of which is better"


def make_triangle(project: Project) -> list[PreferencePair]:
    """A task's pairs: one success over each of three failures."""
    task = make_task(project)
    make_trajectory(project, "a", "good", task=task)
    for number in range(3):
        make_trajectory(project, "a", f"bad {number}", task=task, success=False)
    propose_pairs(owner_access(project))
    return list(PreferencePair.objects.filter(task=task).order_by("pk"))


def test_with_more_than_two_attempts_each_judgement_counts_for_all_pairs_of_the_task() -> None:
    project = make_project()
    one, other, third = make_triangle(project)
    judge(make_member(project), one, one.chosen_id)
    assert PreferencePair.objects.get(pk=other.pk).confidence is None
    judge(make_member(project), other, other.chosen_id)
    alone = PreferencePair.objects.get(pk=one.pk).confidence
    assert alone is not None
    assert alone > 2 / 3, "it won against another one too"
    judge(make_member(project), other, other.chosen_id)
    more = PreferencePair.objects.get(pk=one.pk).confidence
    assert more is not None
    assert more > alone
    assert PreferencePair.objects.get(pk=third.pk).confidence is None, "one side was never compared"


def test_of_a_task_with_very_many_pairs_each_is_told_by_its_own_judgements(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr("curation.services.pairs.MOST_TOGETHER", 2)
    project = make_project()
    pairs = make_triangle(project)
    for pair in pairs:
        judge(make_member(project), pair, pair.chosen_id)
    assert [pair.confidence for pair in PreferencePair.objects.all()] == [pytest.approx(2 / 3)] * 3


def test_judging_takes_the_same_few_statements_however_many_judged_before(
    django_assert_max_num_queries: Any,
) -> None:
    project = make_project()
    pairs = make_triangle(project)
    for pair in pairs:
        for _ in range(3):
            judge(make_member(project), pair, pair.chosen_id)
    access = make_member(project)
    with django_assert_max_num_queries(16):
        judge(access, pairs[0], pairs[0].chosen_id)


@pytest.mark.django_db(transaction=True)
def test_people_who_judge_the_pairs_of_a_task_at_the_same_moment_all_count() -> None:
    project = make_project()
    pairs = make_triangle(project)
    people = [make_member(project) for _ in range(6)]
    calls = [
        lambda person=person, pair=pairs[number % 3]: judge(person, pair, pair.chosen_id)
        for number, person in enumerate(people)
    ]
    at_once(*calls)
    assert Judgement.objects.count() == 6
    found = set(PreferencePair.objects.values_list("status", "strength"))
    assert found == {("confirmed", 2)}
    confidences = [pair.confidence for pair in PreferencePair.objects.all()]
    assert confidences == [pytest.approx(confidences[0])] * 3, "every pair was told with all judgements in view"
