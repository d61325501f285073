"""Discussions: what is added, removed and shown, what stays hidden while a blind review is due, and double clicks."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from curation.models import AuditEntry, Membership, Mention, Project, Queue, Remark, Role, Trajectory
from curation.permissions import Access, may_see_outcome
from curation.services.pair_queue import submit_judgement
from curation.services.projects import remove_member
from curation.services.queues import create_queue, take_next
from curation.services.remarks import add_remark, remove_remark
from curation.services.reviews import Answer, save_draft, submit_review, undo_review
from tests.at_once import at_once
from tests.factories import make_member, make_project, make_trajectory, owner_access
from tests.pairs.cast import answer_for, make_pairs, take
from tests.pairs.cast import make_queue as make_pair_queue

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def sign_in(access: Access) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


def thread_address(trajectory: Trajectory) -> str:
    return reverse("curation:remark-list", args=[trajectory.project.slug, trajectory.pk])


def detail_address(trajectory: Trajectory) -> str:
    return reverse("curation:trajectory-detail", args=[trajectory.project.slug, trajectory.pk])


def blind_queue(project: Project, name: str = "Blind") -> Queue:
    everything = Trajectory.objects.filter(project=project)
    return create_queue(owner_access(project), name=name, trajectories=everything, blind=True, reviews_wanted=3)


def test_several_people_discuss_a_trajectory_oldest_remark_first() -> None:
    trajectory = make_trajectory(make_project())
    people = [make_member(trajectory.project, role) for role in Role.values]
    for number, person in enumerate(people):
        sent = sign_in(person).post(thread_address(trajectory), {"text": f"Remark {number}."})
        remark = Remark.objects.latest("id")
        assert sent["Location"] == f"{detail_address(trajectory)}#remark-{remark.pk}"
    page = sign_in(people[0]).get(detail_address(trajectory)).content.decode()
    places = [page.index(f"Remark {number}.") for number in range(len(people))]
    assert places == sorted(places)
    assert all(person.user.username in page for person in people)


def test_htmx_gets_the_discussion_back_with_an_empty_form() -> None:
    trajectory = make_trajectory(make_project())
    answer = sign_in(make_member(trajectory.project)).post(
        thread_address(trajectory), {"text": "Look at step 3."}, headers=HTMX
    )
    page = answer.content.decode()
    assert "<html" not in page
    assert "Look at step 3.</p>" in page
    assert "</textarea>" in page
    assert page.count("Look at step 3.") == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "needs some text"), (" \r\n\t ", "needs some text"), ("x" * 5001, "at most 5,000 characters")],
)
def test_an_empty_or_endless_remark_is_refused_in_words_and_stays_typed(text: str, problem: str) -> None:
    trajectory = make_trajectory(make_project())
    client = sign_in(make_member(trajectory.project))
    plain = client.post(thread_address(trajectory), {"text": text})
    drawn = client.post(thread_address(trajectory), {"text": text}, headers=HTMX)
    assert (plain.status_code, drawn.status_code) == (400, 200)
    for answer in (plain, drawn):
        assert problem in answer.content.decode()
        assert text in answer.content.decode()
    assert not Remark.objects.exists()


def test_lines_count_once_and_what_cannot_be_stored_is_replaced() -> None:
    trajectory = make_trajectory(make_project())
    access = make_member(trajectory.project)
    lines = "\r\n".join(["1234"] * 1000)
    assert len(add_remark(access, trajectory, lines).text) == 4999
    assert add_remark(access, trajectory, "a\x00b\ud800c").text == "a\ufffdb\ufffdc"


def test_hostile_remarks_are_shown_as_text() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    access, reader = make_member(project, Role.CURATOR), make_member(project)
    hostile = '</p></script><script>alert(1)</script><div hx-get="/x" hx-trigger="load">{{ 7*7 }} javascript:alert(1)'
    add_remark(access, trajectory, f"{hostile} @{reader.user.username}")
    client = sign_in(reader)
    for address, headers in (
        (detail_address(trajectory), {}),
        (thread_address(trajectory), {}),
        (thread_address(trajectory), HTMX),
        (reverse("curation:mention-list", args=[project.slug]), {}),
    ):
        page = client.get(address, headers=headers).content.decode()
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
        assert '<div hx-get="/x"' not in page
        assert 'href="javascript' not in page


def test_the_page_asks_again_and_gets_something_only_where_something_changed() -> None:
    trajectory = make_trajectory(make_project())
    access = make_member(trajectory.project)
    client = sign_in(access)

    def ask(state: str) -> tuple[int, str]:
        answer = client.get(thread_address(trajectory), {"state": state}, headers=HTMX)
        found = re.search(r'name="state" value="([^"]*)"', answer.content.decode())
        return answer.status_code, found[1] if found else ""

    _, nothing = ask("")
    assert ask(nothing) == (204, "")
    first = add_remark(access, trajectory, "One.")
    status, one = ask(nothing)
    assert (status, one != nothing) == (200, True)
    add_remark(access, trajectory, "Two.")
    remove_remark(access, first)
    status, other = ask(one)
    assert (status, other != one) == (200, True)
    assert ask(other) == (204, "")


def test_a_long_discussion_is_read_from_its_end_a_part_at_a_time() -> None:
    trajectory = make_trajectory(make_project())
    access = make_member(trajectory.project)
    Remark.objects.bulk_create(
        Remark(trajectory=trajectory, author=access.user, text=f"Remark {n:03}") for n in range(150)
    )
    client = sign_in(access)
    newest = client.get(thread_address(trajectory))
    assert [remark.text for remark in newest.context["thread"].remarks] == [f"Remark {n:03}" for n in range(50, 150)]
    earlier = client.get(thread_address(trajectory), {"after": newest.context["thread"].earlier})
    assert [remark.text for remark in earlier.context["thread"].remarks] == [f"Remark {n:03}" for n in range(50)]
    assert "every 20s" not in earlier.content.decode()
    damaged = client.get(thread_address(trajectory), {"after": "nonsense"})
    assert "damaged" in damaged.content.decode()


def test_a_discussion_of_fifty_takes_as_many_queries_as_one_of_two(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    trajectory = make_trajectory(make_project())
    reader = make_member(trajectory.project)
    client = sign_in(reader)
    writers = [make_member(trajectory.project) for _ in range(5)]
    for number in range(50):
        add_remark(writers[number % 5], trajectory, f"{number} @{reader.user.username}")
    # Session, person, membership, trajectory, whether it is hidden, remarks.
    with django_assert_num_queries(6):
        client.get(thread_address(trajectory), headers=HTMX)
    Remark.objects.filter(pk__gt=Remark.objects.order_by("pk")[1].pk).delete()
    with django_assert_num_queries(6):
        client.get(thread_address(trajectory), headers=HTMX)


def test_a_double_click_adds_one_remark_and_the_same_words_later_another() -> None:
    trajectory = make_trajectory(make_project())
    access, other = make_member(trajectory.project), make_member(trajectory.project)
    first = add_remark(access, trajectory, "Agreed.")
    assert add_remark(access, trajectory, " Agreed.\r\n") == first
    add_remark(other, trajectory, "Agreed.")
    add_remark(access, trajectory, "No, wait.")
    add_remark(access, trajectory, "Agreed.")
    assert Remark.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_two_requests_at_the_same_moment_add_one_remark() -> None:
    trajectory = make_trajectory(make_project())
    access = make_member(trajectory.project)
    added = {remark.pk for remark in at_once(*[lambda: add_remark(access, trajectory, "Once, please.")] * 4)}
    assert len(added) == Remark.objects.count() == 1


def test_a_remark_is_removed_by_its_author_or_a_curator_and_the_log_says_so() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    author, other, curator = make_member(project), make_member(project), make_member(project, Role.CURATOR)
    first, second = add_remark(author, trajectory, "One."), add_remark(author, trajectory, "Two.")

    def remove(access: Access, remark: Remark) -> int:
        address = reverse("curation:remark-remove", args=[project.slug, remark.pk])
        return sign_in(access).post(address, headers=HTMX).status_code

    assert remove(other, first) == 403
    assert f"remarks/{first.pk}/remove" not in sign_in(other).get(detail_address(trajectory)).content.decode()
    assert remove(author, first) == 200
    assert remove(author, first) == 404
    assert remove(curator, second) == 200
    assert not remove_remark(curator, second)
    assert not Remark.objects.exists()
    entries = AuditEntry.objects.filter(action="remark.remove").order_by("pk")
    assert [entry.actor_name for entry in entries] == [author.user.username, curator.user.username]
    assert entries[1].details == {"trajectory": trajectory.pk, "author": author.user.username}


def test_a_reviewer_sees_no_discussion_of_what_they_may_still_have_to_review_blind() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    curator, reviewer = make_member(project, Role.CURATOR), make_member(project)
    earlier = add_remark(reviewer, trajectory, "My own, from before.")
    add_remark(curator, trajectory, "It cheats at step 4.")
    queue = blind_queue(project)
    client = sign_in(reviewer)

    def look() -> list[str]:
        pages = [client.get(address) for address in (detail_address(trajectory), thread_address(trajectory))]
        pages.append(client.get(thread_address(trajectory), headers=HTMX))
        return [page.content.decode() for page in pages]

    for page in look():
        assert "cheats" not in page
        assert "This discussion is hidden" in page
        assert "<textarea" not in page
    refused = client.post(thread_address(trajectory), {"text": "What do you think?"}, headers=HTMX)
    assert "This discussion is hidden" in refused.content.decode()
    assert client.post(reverse("curation:remark-remove", args=[project.slug, earlier.pk])).status_code == 403
    assert Remark.objects.count() == 2
    assert "cheats" in sign_in(curator).get(detail_address(trajectory)).content.decode()

    held = take_next(reviewer, queue)
    assert held is not None
    save_draft(reviewer, held, Answer(verdict="accept"))
    assert not may_see_outcome(reviewer, trajectory)
    review = submit_review(reviewer, held, Answer(verdict="accept"))
    assert all("cheats" in page for page in look())
    blind_queue(project, "Blind again")
    assert not may_see_outcome(reviewer, trajectory)
    Queue.objects.filter(name="Blind again").delete()
    undo_review(reviewer, review)
    with pytest.raises(PermissionDenied, match="blind queue"):
        add_remark(reviewer, trajectory, "Not yet.")


def test_an_open_queue_and_a_blind_one_of_other_trajectories_hide_nothing() -> None:
    project = make_project()
    make_trajectory(project)
    blind_queue(project)
    trajectory = make_trajectory(project)
    queue_of_all = Trajectory.objects.filter(project=project)
    create_queue(owner_access(project), name="Open", trajectories=queue_of_all)
    assert may_see_outcome(make_member(project), trajectory)


def test_a_former_member_stays_named_and_a_deleted_account_is_called_one() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    gone, deleted = make_member(project), make_member(project)
    add_remark(gone, trajectory, "I leave.")
    add_remark(deleted, trajectory, "So do I.")
    remove_member(owner_access(project), Membership.objects.get(user=gone.user))
    deleted.user.delete()
    page = sign_in(owner_access(project)).get(thread_address(trajectory)).content.decode()
    assert f"<b>{gone.user.username}</b>" in page
    assert "<b>a former member</b>" in page
    add_remark(owner_access(project), trajectory, f"@{gone.user.username} @{deleted.user.username}")
    assert not Mention.objects.exists()


def test_ids_of_other_projects_are_not_found() -> None:
    theirs = make_trajectory(make_project())
    remark = add_remark(owner_access(theirs.project), theirs, "Secret.")
    mine = owner_access(make_project())
    client, slug = sign_in(mine), mine.project.slug
    assert client.get(reverse("curation:remark-list", args=[slug, theirs.pk])).status_code == 404
    assert client.post(reverse("curation:remark-list", args=[slug, theirs.pk]), {"text": "x"}).status_code == 404
    assert client.post(reverse("curation:remark-remove", args=[slug, remark.pk])).status_code == 404
    assert client.get(thread_address(theirs)).status_code == 404
    assert Remark.objects.get() == remark


def test_both_sides_of_a_pair_in_a_blind_queue_are_not_discussed_with_who_has_yet_to_judge_it() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    reviewer, curator = make_member(project), make_member(project, Role.CURATOR)
    sides = [pair.chosen.trajectory, pair.rejected.trajectory]
    for side in sides:
        add_remark(curator, side, "It cheats at step 4.")
    pairs = make_pair_queue(project, blind=True)
    for side in sides:
        assert not may_see_outcome(reviewer, side)
        assert may_see_outcome(curator, side)
        assert "cheats" not in sign_in(reviewer).get(detail_address(side)).content.decode()
    submit_judgement(reviewer, take(reviewer, pairs), answer_for(reviewer, pair, winner=None))
    assert all(may_see_outcome(reviewer, side) for side in sides)
