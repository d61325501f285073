"""Searching for pairs as a job: what each kind proposes, and how a search lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from curation.models import PairSearch, PreferencePair, Review, Role, StepLabel, Trajectory
from curation.services import pair_proposals
from curation.services.jobs import STALE_AFTER, sweep_jobs
from curation.services.pair_proposals import SearchRuns, create_search, propose_pairs, run_search, stop_search
from tests.at_once import at_once
from tests.factories import make_member, make_project, make_task, make_trajectory, make_user, owner_access
from tests.pairs.cast import correct, make_attempt
from training.jobs import SWEPT

pytestmark = pytest.mark.django_db
REWARD, MODELS, STEP, CORRECTION = "reward", "models", "step", "correction"


def sides(pair: PreferencePair) -> tuple[Trajectory, Trajectory]:
    return pair.chosen.trajectory, pair.rejected.trajectory


def test_a_higher_reward_is_proposed_over_a_lower_one_the_largest_gap_first() -> None:
    project = make_project()
    task = make_task(project)
    low = make_attempt(task, "a", success=False, reward=0.1)
    middle = make_attempt(task, "b", success=False, reward=0.5)
    high = make_attempt(task, "c", success=False, reward=0.7)
    make_attempt(task, "d", success=True, reward=1.0)
    make_attempt(task, "e", success=False, reward=0.0, completion="crashed")
    search = propose_pairs(owner_access(project), origins=[REWARD], most_per_task=2)
    first, second = PreferencePair.objects.order_by("pk")
    assert (search.proposed, first.origin) == (2, REWARD)
    assert (sides(first), sides(second)) == ((high, low), (middle, low))


def test_equal_rewards_and_different_outcomes_are_no_contrast_of_rewards() -> None:
    project = make_project()
    task = make_task(project)
    make_attempt(task, "a", success=None, reward=0.5)
    make_attempt(task, "b", success=None, reward=0.5)
    make_attempt(task, "c", success=True, reward=1.0)
    assert propose_pairs(owner_access(project), origins=[REWARD]).proposed == 0


def test_two_models_meet_at_the_same_seed_and_without_one_at_the_same_trial() -> None:
    project = make_project()
    task = make_task(project)

    def attempt(model: str, action: str, *, trial: int, seed: int | None = None, **fields: Any) -> Trajectory:
        document = {"trial": {"index": trial, "seed": seed, "group": None}}
        return make_attempt(task, action, document=document, model=model, trial=trial, **fields)

    one = attempt("one", "a", trial=0, seed=7, reward=0.2)
    other = attempt("other", "b", trial=1, seed=7, reward=0.9)
    attempt("other", "c", trial=0, seed=8)
    plain, same_trial = attempt("one", "d", trial=3), attempt("other", "e", trial=3)
    attempt("other", "f", trial=4)
    attempt("third", "g", trial=3)
    search = propose_pairs(owner_access(project), origins=[MODELS], between=["one", "other"], most_per_task=9)
    seeded, unseeded = PreferencePair.objects.order_by("pk")
    assert search.proposed == 2
    assert sides(seeded) == (other, one), "until somebody judges, the higher reward is the chosen side"
    assert sides(unseeded) == (plain, same_trial)


def test_a_step_pair_is_the_turn_in_which_a_correction_differs() -> None:
    project = make_project()
    lost = make_trajectory(project, "a", "b", "c", success=False)
    corrected = correct(lost, "a", "x", "c")
    propose_pairs(owner_access(project), origins=[CORRECTION, STEP])
    whole, turn = PreferencePair.objects.order_by("pk")
    assert (whole.origin, turn.origin, turn.step_only) == (CORRECTION, STEP, True)
    assert (turn.chosen, turn.rejected.number, turn.shared_steps) == (corrected, 0, 3)
    assert (whole.chosen_id, whole.rejected_id) == (turn.chosen_id, turn.rejected_id)
    assert 0 < turn.chosen_characters < whole.chosen_characters


def test_a_correction_that_only_leaves_out_the_end_makes_no_step_pair() -> None:
    project = make_project()
    correct(make_trajectory(project, "a", "b", success=False), "a")
    search = propose_pairs(owner_access(project), origins=[STEP])
    assert (search.proposed, search.unusable) == (0, {"The two do not part at a turn of the agent.": 1})


def test_corrections_that_are_cut_where_a_reviewer_marked_the_first_error_go_first() -> None:
    project = make_project()
    task = make_task(project)
    attempts = [make_trajectory(project, "a", f"b{n}", task=task, success=False) for n in range(2)]
    for attempt in attempts:
        correct(attempt, "a", "x")
        review = Review.objects.create(
            trajectory=attempt,
            revision=attempt.revisions.get(number=0),
            reviewer=make_user(),
            verdict="reject",
            submitted_at=timezone.now(),
        )
        step = 4 if attempt == attempts[1] else 3
        StepLabel.objects.create(review=review, step_id=step, label="wrong", first_error=True)
    propose_pairs(owner_access(project), origins=[STEP], most_per_task=1)
    assert PreferencePair.objects.get().rejected.trajectory == attempts[1]


def test_corrections_are_proposed_where_they_are_missing_and_newer_ones_replace_what_nobody_judged() -> None:
    project = make_project()
    lost = make_trajectory(project, "a", "b", success=False)
    correct(lost, "a", "c")
    access = owner_access(project)
    assert propose_pairs(access, origins=[CORRECTION, STEP]).proposed == 2
    assert propose_pairs(access, origins=[CORRECTION, STEP]).proposed == 0
    newest = correct(lost, "a", "d")
    propose_pairs(access, origins=[CORRECTION, STEP], most_per_task=4)
    assert set(PreferencePair.objects.values_list("chosen", flat=True)) == {newest.pk}


def test_no_task_gets_more_pairs_than_it_may_of_all_kinds_together() -> None:
    project = make_project()
    task = make_task(project)
    for number in range(4):
        make_attempt(task, f"good {number}", success=True, reward=1 - number / 10)
        make_attempt(task, f"bad {number}", success=False, reward=number / 10)
    access = owner_access(project)
    assert propose_pairs(access, origins=["outcome", REWARD], most_per_task=4).proposed == 4
    origins = list(PreferencePair.objects.order_by("pk").values_list("origin", flat=True))
    assert sorted(origins) == ["outcome", "outcome", "reward", "reward"], "in turn"
    again = propose_pairs(access, origins=["outcome", REWARD], most_per_task=4)
    assert (again.proposed, again.advice) == (0, "Tasks that had as many pairs as a task may get: 1.")


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ({"origins": []}, "Choose what"),
        ({"origins": ["imported"]}, "Choose what"),
        ({"origins": [REWARD], "most_per_task": 0}, "1 to 50"),
        ({"origins": [MODELS], "between": ["test"]}, "Name the two"),
        ({"origins": [MODELS], "between": ["test", "test"]}, "Name the two"),
        ({"origins": [MODELS], "between": ["test", "\x00nobody"]}, "No attempt"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(choice: dict[str, Any], problem: str) -> None:
    project = make_project()
    make_trajectory(project)
    with pytest.raises(ValueError, match=problem):
        create_search(owner_access(project), **choice)
    assert PairSearch.objects.count() == 0


def test_only_a_curator_searches_and_stops() -> None:
    project = make_project()
    search = create_search(owner_access(project), origins=[REWARD])
    with pytest.raises(PermissionDenied):
        create_search(make_member(project), origins=[REWARD])
    with pytest.raises(PermissionDenied):
        stop_search(make_member(project, Role.REVIEWER), search)


def test_a_search_that_nobody_began_stops_at_once_and_another_may_begin() -> None:
    access = owner_access(make_project())
    search = create_search(access, origins=[REWARD])
    with pytest.raises(SearchRuns):
        create_search(access, origins=[REWARD])
    stop_search(access, search)
    with pytest.raises(ValueError, match="ended already"):
        stop_search(access, search)
    create_search(access, origins=[REWARD])


def make_contrasts(number: int) -> Any:
    project = make_project()
    for _ in range(number):
        task = make_task(project)
        make_trajectory(project, "a", "b", task=task)
        make_trajectory(project, "a", "c", task=task, success=False)
    return project


def test_a_search_can_be_stopped_and_keeps_what_it_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_contrasts(3)
    access = owner_access(project)
    search = create_search(access, origins=["outcome"])
    propose_at = pair_proposals._Search._propose_at

    def propose_and_stop(self: Any, task: Any) -> None:
        propose_at(self, task)
        PairSearch.objects.filter(pk=search.pk).update(stop_requested=True)

    monkeypatch.setattr(pair_proposals._Search, "_propose_at", propose_and_stop)
    run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.proposed, PreferencePair.objects.count()) == ("stopped", 1, 1)
    assert "stays" in search.advice


def test_a_search_whose_worker_was_killed_starts_over_and_counts_every_pair_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = make_contrasts(4)
    search = create_search(owner_access(project), origins=["outcome"])
    propose_at = pair_proposals._Search._propose_at

    def die_at_the_third(self: Any, task: Any) -> None:
        if PreferencePair.objects.count() == 2:
            raise KeyboardInterrupt
        propose_at(self, task)

    monkeypatch.setattr(pair_proposals._Search, "_propose_at", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run_search(search.pk)
    monkeypatch.undo()
    search.refresh_from_db()
    assert (search.state, search.proposed) == ("running", 2)
    PairSearch.objects.filter(pk=search.pk).update(heartbeat_at=timezone.now() - STALE_AFTER - timedelta(seconds=1))
    assert sweep_jobs(PairSearch) == [search.pk]
    assert (PairSearch, "curation.jobs.search_pairs") in SWEPT
    run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.proposed, search.progress, search.progress_total) == ("done", 4, 4, 4)
    assert PreferencePair.objects.count() == 4


def test_a_worker_that_lost_its_search_changes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_contrasts(2)
    search = create_search(owner_access(project), origins=["outcome"])
    save = pair_proposals._Search._save

    def save_too_late(self: Any, task: Any, pairs: Any) -> None:
        if self.search.claims == 1 and PreferencePair.objects.count() == 1:
            PairSearch.objects.filter(pk=search.pk).update(state="queued", claim=None)
            run_search(search.pk)
        save(self, task, pairs)

    monkeypatch.setattr(pair_proposals._Search, "_save", save_too_late)
    run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.proposed, search.claims) == ("done", 2, 2)
    assert PreferencePair.objects.count() == 2


def test_an_attempt_that_vanishes_during_the_search_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_contrasts(2)
    search = create_search(owner_access(project), origins=["outcome"])
    build = pair_proposals._build_pair

    def build_late(task: Any, candidate: Any, documents: Any) -> Any:
        if PreferencePair.objects.count() == 0:
            Trajectory.objects.filter(task=task).delete()
            documents._read.clear()
        return build(task, candidate, documents)

    monkeypatch.setattr(pair_proposals, "_build_pair", build_late)
    run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.progress) == ("done", 2)


def test_a_search_that_breaks_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_contrasts(1)
    search = create_search(owner_access(project), origins=["outcome"])

    def fail(*_: Any) -> Any:
        raise RuntimeError("disk \x00 full")

    monkeypatch.setattr(pair_proposals, "_build_pair", fail)
    run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.error) == ("failed", "RuntimeError: disk \ufffd full")


def test_documents_of_other_tasks_are_not_read_and_statements_do_not_grow_with_attempts(
    django_assert_max_num_queries: Any,
) -> None:
    project = make_contrasts(1)
    other = make_task(project)
    make_trajectory(project, "alone", task=other)
    search = create_search(owner_access(project), origins=["outcome", REWARD, CORRECTION, STEP])
    with django_assert_max_num_queries(32) as captured:
        run_search(search.pk)
    read = [query["sql"] for query in captured.captured_queries if '"document"' in query["sql"]]
    assert len(read) == 2, "each side once"


@pytest.mark.django_db(transaction=True)
def test_a_double_click_makes_one_search() -> None:
    access = owner_access(make_project())
    answers = at_once(*[lambda: create_search(access, origins=["outcome"])] * 3)
    assert sorted(isinstance(answer, SearchRuns) for answer in answers) == [False, True, True]
    assert PairSearch.objects.count() == 1
