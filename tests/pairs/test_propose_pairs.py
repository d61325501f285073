from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from curation.models import AuditEntry, PreferencePair, Role, Trajectory
from curation.services.pair_proposals import propose_correction_pair, propose_pairs
from tests.factories import make_member, make_project, make_task, make_trajectory, owner_access
from tests.pairs.cast import correct

pytestmark = pytest.mark.django_db


def test_a_success_is_proposed_over_a_failure_of_the_same_task() -> None:
    project = make_project()
    task = make_task(project)
    won = make_trajectory(project, "look", "take", task=task)
    lost = make_trajectory(project, "look", "drop", task=task, success=False)
    make_trajectory(project, "look", "drop", success=False)
    found = propose_pairs(owner_access(project))
    pair = PreferencePair.objects.get()
    assert (found.progress, found.proposed, found.unusable) == (1, 1, {})
    assert (pair.chosen.trajectory, pair.rejected.trajectory, pair.task) == (won, lost, task)
    assert (pair.shared_steps, pair.status, pair.origin) == (3, "proposed", "outcome")
    assert AuditEntry.objects.filter(action="pairs.propose").exists()


def test_the_longest_shared_beginning_goes_first() -> None:
    project = make_project()
    task = make_task(project)
    make_trajectory(project, "a", "b", "c", task=task)
    far = make_trajectory(project, "a", "b", "x", task=task, success=False)
    make_trajectory(project, "y", "b", "x", task=task, success=False)
    propose_pairs(owner_access(project), most_per_task=1)
    assert PreferencePair.objects.get().rejected.trajectory == far


def test_proposing_again_adds_nothing() -> None:
    project = make_project()
    task = make_task(project)
    for number in range(3):
        make_trajectory(project, "a", f"good {number}", task=task)
        make_trajectory(project, "a", f"bad {number}", task=task, success=False)
    access = owner_access(project)
    assert propose_pairs(access, most_per_task=2).proposed == 2
    assert propose_pairs(access, most_per_task=2).proposed == 0
    assert propose_pairs(access, most_per_task=4).proposed == 2


def test_sides_that_do_the_same_are_not_proposed_but_counted() -> None:
    project = make_project()
    task = make_task(project)
    make_trajectory(project, "a", "b", task=task)
    make_trajectory(project, "a", "b", task=task, success=False)
    found = propose_pairs(owner_access(project))
    assert found.proposed == 0
    assert sum(found.unusable.values()) == 1


def test_crashed_failures_and_rejected_successes_are_passed_over() -> None:
    project = make_project()
    task = make_task(project)
    make_trajectory(project, "a", "b", task=task, status="rejected")
    lost = make_trajectory(project, "a", "c", task=task, success=False)
    assert propose_pairs(owner_access(project)).progress == 0
    make_trajectory(project, "a", "d", task=task)
    Trajectory.objects.filter(pk=lost.pk).update(completion=Trajectory.Completion.CRASHED)
    assert propose_pairs(owner_access(project)).progress == 0


def test_only_a_curator_proposes() -> None:
    project = make_project()
    with pytest.raises(PermissionDenied):
        propose_pairs(make_member(project, Role.REVIEWER))


def test_the_database_refuses_the_same_two_sides_the_other_way_round() -> None:
    project = make_project()
    task = make_task(project)
    one = make_trajectory(project, "a", task=task).revisions.get()
    other = make_trajectory(project, "b", task=task).revisions.get()
    pair = PreferencePair(project=project, task=task, chosen=one, rejected=other, shared_steps=2, origin="outcome")
    pair.save()
    pair.pk, pair.chosen, pair.rejected = None, other, one
    with pytest.raises(IntegrityError), transaction.atomic():
        pair.save(force_insert=True)


def test_a_corrected_failure_gives_its_newest_revision_over_the_recorded_one() -> None:
    project = make_project()
    lost = make_trajectory(project, "a", "b", success=False)
    assert propose_correction_pair(lost) is None
    first = correct(lost, "a", "c")
    pair = propose_correction_pair(lost)
    assert pair is not None
    assert (pair.chosen, pair.rejected.number, pair.origin, pair.shared_steps) == (first, 0, "correction", 3)
    assert propose_correction_pair(lost) == pair
    second = correct(lost, "a", "d")
    newer = propose_correction_pair(lost)
    assert newer is not None
    assert newer.chosen == second
    assert PreferencePair.objects.count() == 1, "nobody had judged the older correction"


def test_a_corrected_success_makes_no_pair() -> None:
    won = make_trajectory(make_project(), "a", "b")
    correct(won, "a", "c")
    assert propose_correction_pair(won) is None


class AnyPool(TestCase):
    @settings(max_examples=12, deadline=None)
    @given(
        attempts=st.lists(
            st.tuples(st.lists(st.sampled_from("ab"), min_size=1, max_size=3), st.booleans()), max_size=7
        ),
        most=st.integers(1, 4),
    )
    def test_pairs_of_any_pool_hold_together(self, attempts: list[tuple[list[str], bool]], most: int) -> None:
        project = make_project()
        task = make_task(project)
        for actions, success in attempts:
            make_trajectory(project, *actions, task=task, success=success)
        propose_pairs(owner_access(project), most_per_task=most)
        propose_pairs(owner_access(project), most_per_task=most)
        pairs = list(project.pairs.select_related("chosen__trajectory", "rejected__trajectory"))
        assert len(pairs) <= most
        assert len({frozenset((pair.chosen_id, pair.rejected_id)) for pair in pairs}) == len(pairs)
        for pair in pairs:
            assert pair.chosen.trajectory.success
            assert pair.rejected.trajectory.success is False
            assert pair.chosen.document["steps"] != pair.rejected.document["steps"]
            ours, theirs = pair.chosen.document["steps"], pair.rejected.document["steps"]
            assert ours[: pair.shared_steps] == theirs[: pair.shared_steps]
