"""Bulk actions: what each changes, what it leaves, and what undoing takes back."""

from __future__ import annotations

import pytest

from curation.models import (
    AuditEntry,
    BulkChange,
    Decision,
    JobState,
    QueueItem,
    Review,
    Role,
    Trajectory,
)
from curation.permissions import Access
from curation.services.bulk import KeyReused, resume_bulk_action, stop_bulk_action, undo_bulk_action
from curation.services.corrections import correct_trajectory, parse_edit
from curation.services.decisions import decide_trajectory, settle_trajectories
from curation.services.queues import take_next
from curation.services.reviews import Answer, submit_review
from tests.bulk.cast import do, look, make_queue, say, start, statuses, tags, undo, work
from tests.factories import make_member, make_project, make_task, make_trajectories, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


@pytest.fixture
def three(access: Access) -> list[Trajectory]:
    return list(make_trajectories(access.project, 3))


def test_accepting_decides_what_fits_and_nothing_else(access: Access, three: list[Trajectory]) -> None:
    failure = make_trajectory(access.project, success=False)
    other = make_trajectory(make_project())
    job = do(access, "accept", {"outcome": "success"}, reason="They are right.")
    assert (job.state, job.changed, job.progress, job.progress_total) == (JobState.DONE, 3, 3, 3)
    assert statuses(access) == ["accepted"] * 3 + ["unreviewed"]
    said = Decision.objects.values_list("trajectory", "verdict", "comment", "decided_by", "bulk").distinct()
    assert list(said.order_by("trajectory")) == [
        (row.pk, "accept", "They are right.", access.user.pk, job.pk) for row in three
    ]
    other.refresh_from_db()
    assert (failure.decisions.count(), other.status) == (0, "unreviewed")


def test_what_is_decided_so_already_is_left_and_counted(access: Access, three: list[Trajectory]) -> None:
    decide_trajectory(access, three[0], verdict="accept")
    decide_trajectory(access, three[1], verdict="reject")
    job = do(access, "accept")
    assert (job.changed, job.left_out) == (2, {"already": 1})
    assert three[0].decisions.count() == 1
    assert statuses(access) == ["accepted"] * 3


def test_a_decision_is_made_on_the_newest_revision(access: Access, three: list[Trajectory]) -> None:
    edit = parse_edit({"kind": "edit", "step_id": 3, "message": "I look first."})
    correct_trajectory(access, three[0], edit, base=0, reason="why")
    do(access, "reject")
    assert list(Decision.objects.order_by("trajectory").values_list("revision__number", flat=True)) == [1, 0, 0]


def test_undoing_falls_back_to_the_decision_before_or_the_reviews(access: Access, three: list[Trajectory]) -> None:
    decide_trajectory(access, three[0], verdict="reject")
    say(three[1], "unsure")
    settle_trajectories(access.project, [three[1].pk])
    before = statuses(access)
    assert before == ["rejected", "unsure", "unreviewed"]
    job = do(access, "accept")
    assert statuses(access) == ["accepted"] * 3
    undo(access, job)
    assert (job.state, job.progress, BulkChange.objects.count()) == (JobState.DONE, 3, 0)
    assert statuses(access) == before


def test_queues_serve_first_what_has_fewest_accepted_once_many_were_decided(access: Access) -> None:
    busy, fresh = make_task(access.project), make_task(access.project)
    rows = [*make_trajectories(access.project, 3, task=busy), *make_trajectories(access.project, 2, task=fresh)]
    queue = make_queue(access, *rows)
    job = do(access, "accept", {"task": busy.key})
    ranks = queue.items.order_by("trajectory").values_list("rank", flat=True)
    assert list(ranks) == [3, 3, 3, 0, 0]
    undo(access, job)
    assert list(ranks.all()) == [0] * 5


def test_what_was_decided_since_stays_when_it_is_undone(access: Access, three: list[Trajectory]) -> None:
    job = do(access, "accept")
    decide_trajectory(access, three[2], verdict="reject")
    undo(access, job)
    assert statuses(access) == ["unreviewed", "unreviewed", "rejected"]


def test_the_preview_counts_by_band_what_would_change_and_whose_reviews_say_otherwise(access: Access) -> None:
    for band in (2, None, 5):
        task = make_task(access.project, band=band)
        make_trajectories(access.project, 2, task=task)
    first, second, third = Trajectory.objects.order_by("pk")[:3]
    decide_trajectory(access, first, verdict="accept")
    say(first, "reject")
    say(second, "reject")
    say(third, "unsure")
    Trajectory.objects.filter(pk=first.pk).update(status="accepted")
    seen = look(access, "accept")
    assert [(row.band, row.fitting, row.changing) for row in seen.bands] == [(None, 2, 2), (2, 2, 1), (5, 2, 2)]
    assert (seen.fitting, seen.changing, seen.contrary, seen.left_out) == (6, 5, 1, {"already": 1})
    assert do(access, "accept").changed == seen.changing


def test_a_tag_is_added_once_and_taken_back_only_where_it_was_added(access: Access, three: list[Trajectory]) -> None:
    Trajectory.objects.filter(pk=three[0].pk).update(tags=["hard", "old"])
    job = do(access, "tag", tag="  hard ")
    assert (job.changed, job.left_out, job.parameters) == (2, {"already": 1}, {"tag": "hard"})
    assert tags(access) == [["hard", "old"], ["hard"], ["hard"]]
    assert look(access, "untag", tag="hard").changing == 3
    undo(access, job)
    assert tags(access) == [["hard", "old"], [], []]


def test_a_trajectory_with_twenty_tags_gets_no_more(access: Access, three: list[Trajectory]) -> None:
    Trajectory.objects.filter(pk=three[0].pk).update(tags=[f"t{number}" for number in range(20)])
    assert look(access, "tag", tag="new").left_out == {"full": 1}
    job = do(access, "tag", tag="new")
    assert (job.changed, job.left_out) == (2, {"full": 1})


def test_a_tag_that_is_taken_away_comes_back_when_that_is_undone(access: Access, three: list[Trajectory]) -> None:
    Trajectory.objects.filter(pk__in=[three[0].pk, three[1].pk]).update(tags=["a", "b"])
    job = do(access, "untag", {"tag": "a"}, tag="a")
    assert (job.changed, job.progress) == (2, 2)
    assert tags(access) == [["b"], ["b"], []]
    undo(access, job)
    assert [sorted(row) for row in tags(access)] == [["a", "b"], ["a", "b"], []]


def test_undoing_a_tag_leaves_it_where_a_later_action_gave_or_took_it(access: Access, three: list[Trajectory]) -> None:
    make_trajectory(access.project, success=False)
    first = do(access, "tag", tag="x")
    do(access, "untag", {"outcome": "failure"}, tag="x")
    again = do(access, "tag", {"outcome": "failure"}, tag="x")
    undo(access, first)
    assert tags(access) == [[], [], [], ["x"]]
    assert first.changes.count() == 1
    undo(access, again)
    assert tags(access) == [[]] * 4


@pytest.mark.parametrize("tag", ["", "  ", "x" * 41, "a\nb", "a\x00b", "\ud800", "a\x1b[31mb"])
def test_a_tag_that_is_none_is_refused_in_words(access: Access, three: list[Trajectory], tag: str) -> None:
    with pytest.raises(ValueError, match=r"tag"):
        start(access, "tag", tag=tag)


def test_sending_to_a_queue_adds_what_is_not_in_it(access: Access, three: list[Trajectory]) -> None:
    queue = make_queue(access, three[0])
    assert look(access, "queue", queue=queue).left_out == {"already": 1}
    job = do(access, "queue", queue=queue)
    assert (job.changed, job.left_out) == (2, {"already": 1})
    assert list(queue.items.order_by("trajectory").values_list("trajectory", "free_slots")) == [
        (row.pk, [1]) for row in three
    ]
    undo(access, job)
    assert [item.trajectory_id for item in queue.items.all()] == [three[0].pk]


def test_undoing_leaves_items_that_somebody_holds_reviewed_or_was_given(access: Access) -> None:
    rows = list(make_trajectories(access.project, 5))
    queue = make_queue(access, rows[0], order="oldest")
    job = do(access, "queue", queue=queue)
    reviewer = make_member(access.project)
    for _ in range(2):
        held = take_next(reviewer, queue)
        assert held is not None
        submit_review(reviewer, held, Answer(verdict="accept"))
    take_next(reviewer, queue)
    queue.items.filter(trajectory=rows[3]).update(assignee=reviewer.user)
    undo(access, job)
    assert sorted(item.trajectory_id or 0 for item in queue.items.all()) == [row.pk for row in rows[:4]]
    assert job.changes.count() == 3
    assert Review.objects.filter(item__queue=queue).count() == 2


def test_assigning_gives_what_nobody_holds_to_one_reviewer(access: Access, three: list[Trajectory]) -> None:
    queue = make_queue(access, three[0], three[1], order="oldest")
    one, other = make_member(access.project), make_member(access.project)
    held = take_next(other, queue)
    assert held is not None
    assert look(access, "assign", queue=queue, assignee=one.user).left_out == {"busy": 1}
    job = do(access, "assign", queue=queue, assignee=one.user)
    assert (job.changed, job.left_out) == (2, {"busy": 1})
    owners = queue.items.order_by("trajectory").values_list("assignee", flat=True)
    assert list(owners) == [None, one.user.pk, one.user.pk]
    assert do(access, "assign", queue=queue, assignee=one.user).left_out == {"busy": 1, "already": 2}
    undo(access, job)
    assert set(queue.items.values_list("trajectory", flat=True)) == {three[0].pk, three[1].pk}
    assert not queue.items.exclude(assignee=None).exists()


def test_undoing_an_assignment_gives_items_back_to_whose_they_were(access: Access, three: list[Trajectory]) -> None:
    queue = make_queue(access, *three)
    one, other = make_member(access.project), make_member(access.project)
    queue.items.filter(trajectory=three[0]).update(assignee=other.user)
    job = do(access, "assign", queue=queue, assignee=one.user)
    queue.items.filter(trajectory=three[2]).update(assignee=other.user)
    undo(access, job)
    owners = queue.items.order_by("trajectory").values_list("assignee", flat=True)
    assert list(owners) == [other.user.pk, None, other.user.pk]


def test_only_reviewers_who_may_take_from_the_queue_are_assigned(access: Access, three: list[Trajectory]) -> None:
    queue = make_queue(access, *three)
    one, curator, stranger = make_member(access.project), make_member(access.project, Role.CURATOR), make_project()
    for person in (curator.user, owner_access(stranger).user, None):
        with pytest.raises(ValueError, match="which reviewer of this project"):
            start(access, "assign", queue=queue, assignee=person)
    queue.reviewers.add(access.user)
    with pytest.raises(ValueError, match="may not take from"):
        start(access, "assign", queue=queue, assignee=one.user)
    assert start(access, "assign", queue=queue, assignee=access.user).state == JobState.QUEUED


def test_queues_of_pairs_and_of_other_projects_are_refused(access: Access, three: list[Trajectory]) -> None:
    pairwise = access.project.queues.create(name="pairs", kind="pairwise")
    foreign = make_project().queues.create(name="theirs")
    with pytest.raises(ValueError, match="holds pairs"):
        start(access, "queue", queue=pairwise)
    with pytest.raises(ValueError, match="which queue of this project"):
        start(access, "queue", queue=foreign)


def test_an_action_whose_queue_is_gone_fails_in_words_and_can_still_be_undone(
    access: Access, three: list[Trajectory]
) -> None:
    queue = make_queue(access, three[0])
    job = start(access, "queue", queue=queue)
    done = do(access, "queue", queue=queue)
    queue.delete()
    assert (work(job).state, job.error) == (JobState.FAILED, "Say which queue of this project.")
    assert undo(access, done).state == JobState.DONE
    assert not QueueItem.objects.exists()


def test_trajectories_that_arrive_later_stay_out(access: Access, three: list[Trajectory]) -> None:
    job = start(access, "tag", tag="x")
    make_trajectory(access.project)
    assert (work(job).changed, tags(access)) == (3, [["x"], ["x"], ["x"], []])


def test_nothing_starts_where_nothing_fits_or_the_action_does_not_exist(access: Access) -> None:
    with pytest.raises(ValueError, match="nothing to do"):
        start(access, "accept")
    make_trajectory(access.project)
    with pytest.raises(ValueError, match="no action 'delete'"):
        start(access, "delete")
    with pytest.raises(ValueError, match="no condition 'user__password'"):
        start(access, "accept", {"user__password": "x"})


def test_the_same_request_twice_is_one_action_and_its_key_is_not_used_for_another(
    access: Access, three: list[Trajectory]
) -> None:
    job = start(access, "tag", tag="x", idempotency_key="k")
    assert start(access, "tag", tag="x", idempotency_key="k") == job
    with pytest.raises(KeyReused):
        start(access, "tag", tag="y", idempotency_key="k")
    assert start(owner_access(make_trajectory(make_project()).project), "tag", tag="x", idempotency_key="k") != job


def test_an_action_is_undone_once_and_not_while_it_runs(access: Access, three: list[Trajectory]) -> None:
    job = start(access, "accept")
    with pytest.raises(ValueError, match="Stop the action"):
        undo_bulk_action(access, job)
    work(job)
    undo_bulk_action(access, job)
    with pytest.raises(ValueError, match="undone already"):
        undo_bulk_action(access, job)
    work(job)
    with pytest.raises(ValueError, match="undone already"):
        undo_bulk_action(access, job)
    with pytest.raises(ValueError, match="can go on"):
        resume_bulk_action(access, job)
    assert Decision.objects.filter(withdrawn_at=None).count() == 0
    actions = AuditEntry.objects.filter(action__startswith="bulk.").order_by("pk")
    assert [entry.action for entry in actions] == ["bulk.create", "bulk.undo"]


def test_only_a_curator_starts_stops_and_undoes(access: Access, three: list[Trajectory]) -> None:
    reviewer = make_member(access.project)
    job = start(access, "accept")
    for change in (
        lambda: start(reviewer, "accept"),
        lambda: stop_bulk_action(reviewer, job),
        lambda: undo_bulk_action(reviewer, job),
    ):
        with pytest.raises(Exception, match="needs the role curator"):
            change()
