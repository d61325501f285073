"""Mentions: who is named by a text, where they see it, and when it counts as seen."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from pytest_django import DjangoAssertNumQueries

from curation.models import Mention, Project, Remark, Role, Trajectory, User
from curation.permissions import Access
from curation.selectors.remarks import count_unseen
from curation.services.projects import save_member
from curation.services.queues import create_queue, take_next
from curation.services.remarks import add_remark, mention_members
from curation.services.reviews import Answer, submit_review, undo_review
from tests.factories import make_member, make_project, make_trajectory, make_user, owner_access

pytestmark = pytest.mark.django_db
NAMES = ("bob", "bob.smith", "bob@corp.example", "ann-marie", "o+x_1", "zo\u00eb", "\u5f20\u4f1f", "_.", "writer")


def add_people(project: Project, *names: str) -> None:
    for name in names:
        make_user(name)
        save_member(owner_access(project), username=name, roles=[Role.REVIEWER])


def named_in(access: Access, trajectory: Trajectory, text: str) -> set[str]:
    remark = Remark.objects.create(trajectory=trajectory, author=access.user, text=text[:100])
    ids = mention_members(access, text, trajectory=trajectory, remark=remark)
    assert set(Mention.objects.filter(remark=remark).values_list("user_id", flat=True)) == ids
    return set(User.objects.filter(pk__in=ids).values_list("username", flat=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@bob", {"bob"}),
        ("Is it so, @bob? And (@ann-marie), @bob's view", {"bob", "ann-marie"}),
        ("ask @bob.", {"bob"}),
        ("ask @bob.smith.", {"bob.smith"}),
        ("ask @bob.smith...", {"bob.smith"}),
        ("@bob@corp.example", {"bob@corp.example"}),
        ("@o+x_1,@zo\u00eb\n@\u5f20\u4f1f", {"o+x_1", "zo\u00eb", "\u5f20\u4f1f"}),
        ("@zoe\u0308", {"zo\u00eb"}),
        ("@_.", {"_."}),
        ("mail me@bob or you@corp.example or a.@bob", set()),
        ("@bobby @bob-by @bob.smithers @Bob @ bob @@bob @", set()),
        ("@stranger @outsider @" + "b" * 400, set()),
        ("@writer", set()),
    ],
)
def test_the_longest_name_of_a_member_at_the_start_of_a_word_is_a_mention(text: str, expected: set[str]) -> None:
    project = make_project()
    add_people(project, *NAMES)
    make_user("stranger")
    add_people(make_project(), "outsider")
    writer = User.objects.get(username="writer")
    access = Access(user=writer, project=project, roles=frozenset([Role.REVIEWER]), address=None)
    assert named_in(access, make_trajectory(project), text) == expected


class AnyText(TestCase):
    @given(
        text=st.lists(
            st.one_of(
                st.sampled_from([*NAMES, "@", " ", ".", "\n", "\x00", "\ud800", "stranger"]), st.text(max_size=9)
            ),
            max_size=30,
        ).map("".join)
    )
    def test_any_text_is_taken_and_names_members_alone(self, text: str) -> None:
        project = make_project()
        add_people(project, "bob", "bob.smith", "_.")
        make_user("stranger")
        remark = Remark.objects.create(trajectory=make_trajectory(project), author=None, text="")
        named = mention_members(owner_access(project), text, trajectory=remark.trajectory, remark=remark)
        assert named <= set(project.members.values_list("pk", flat=True)) - {owner_access(project).user.pk}
        assert ("@" in text or "\uff20" in text or "\ufe6b" in text) or not named


def test_one_text_mentions_a_person_once_and_costs_two_queries_or_none(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    project = make_project()
    add_people(project, "bob", "ann-marie")
    trajectory, access = make_trajectory(project), owner_access(project)
    remark = Remark.objects.create(trajectory=trajectory, author=access.user, text="")
    with django_assert_num_queries(2):
        mention_members(access, "@bob @bob. @ann-marie @nobody " * 20, trajectory=trajectory, remark=remark)
    mention_members(access, "@bob", trajectory=trajectory, remark=remark)
    assert Mention.objects.count() == 2
    with django_assert_num_queries(0):
        mention_members(access, "Nothing to see. me@example.org" + " x" * 9000, trajectory=trajectory, remark=remark)
    with django_assert_num_queries(1):
        mention_members(access, "@nobody", trajectory=trajectory, remark=remark)


class Desk:
    """A person who is mentioned, and their browser."""

    def __init__(self) -> None:
        self.project = make_project()
        self.trajectory = make_trajectory(self.project)
        self.writer = make_member(self.project, Role.CURATOR)
        self.person = make_member(self.project)
        self.client = Client()
        self.client.force_login(self.person.user)

    def name_them(self, text: str = "Look") -> Remark:
        return add_remark(self.writer, self.trajectory, f"{text} @{self.person.user.username}")

    def open_list(self, **query: str) -> str:
        return self.client.get(self.address("mention-list"), query).content.decode()

    def address(self, name: str, *args: int) -> str:
        return reverse(f"curation:{name}", args=[self.project.slug, *args])

    def see(self, *mentions: int, **headers: str) -> tuple[int, str]:
        answer = self.client.post(self.address("mention-seen"), {"mention": mentions}, headers=headers)
        return answer.status_code, answer.content.decode()


def test_a_mention_is_listed_newest_first_and_leads_to_the_remark() -> None:
    desk = Desk()
    remarks = [desk.name_them(f"Remark {number}.") for number in range(3)]
    page = desk.open_list()
    places = [page.index(f"Remark {number}.") for number in (2, 1, 0)]
    assert places == sorted(places)
    assert f"{desk.address('trajectory-detail', desk.trajectory.pk)}#remark-{remarks[0].pk}" in page
    assert page.count(">new<") == 3
    detail = desk.client.get(desk.address("trajectory-detail", desk.trajectory.pk)).content.decode()
    assert f'id="remark-{remarks[0].pk}"' in detail
    assert detail.count("names you") == 3


def test_reading_changes_nothing_and_what_was_shown_is_then_sent_as_seen() -> None:
    desk = Desk()
    desk.name_them("One")
    desk.name_them("Two")
    desk.open_list()
    desk.client.get(desk.address("trajectory-detail", desk.trajectory.pk))
    assert count_unseen(desk.person) == 2
    first, second = Mention.objects.order_by("pk")
    assert desk.see(first.pk, **{"HX-Request": "true"}) == (
        200,
        '<span class="chip note"\n      id="unseen" hx-swap-oob="true">1<span class="hidden"> not seen</span></span>\n',
    )
    assert desk.see(first.pk, second.pk)[0] == 302
    seen = Mention.objects.get(pk=first.pk).seen_at
    assert seen is not None
    assert desk.see(first.pk)[0] == 302
    assert Mention.objects.get(pk=first.pk).seen_at == seen
    assert ">new<" not in desk.open_list()


def test_mentions_of_others_and_of_other_projects_are_not_found() -> None:
    desk = Desk()
    desk.name_them()
    theirs = Mention.objects.get()
    other = Desk()
    assert other.see(theirs.pk)[0] == 404
    save_member(owner_access(other.project), username=desk.person.user.username, roles=[Role.REVIEWER])
    other.client.force_login(desk.person.user)
    assert other.see(theirs.pk)[0] == 404
    assert "Look" not in other.open_list()
    assert other.see(2**62)[0] == 404
    assert Mention.objects.get().seen_at is None


def test_what_a_mention_says_is_hidden_while_its_trajectory_is_to_be_reviewed_blind() -> None:
    desk = Desk()
    desk.name_them("It cheats.")
    queue = create_queue(
        owner_access(desk.project), name="Blind", trajectories=Trajectory.objects.all(), blind=True, reviews_wanted=2
    )
    held = take_next(desk.person, queue)
    assert held is not None
    page = desk.open_list()
    assert "cheats" not in page
    assert "This discussion is hidden" in page
    assert 'name="mention"' not in page
    submit_review(desk.person, held, Answer(verdict="reject"))
    assert "cheats" in desk.open_list()


def test_the_comment_of_a_review_mentions_as_long_as_it_stands() -> None:
    desk = Desk()
    reviewer = make_member(desk.project)
    queue = create_queue(owner_access(desk.project), name="Open", trajectories=Trajectory.objects.all())
    held = take_next(reviewer, queue)
    assert held is not None
    comment = f"@{desk.person.user.username} knows more"
    review = submit_review(reviewer, held, Answer(verdict="accept", comment=comment))
    mention_members(reviewer, comment, trajectory=desk.trajectory, review=review)
    page = desk.open_list()
    assert "knows more" in page
    assert f"#review-{review.pk}" in page
    detail = desk.client.get(desk.address("trajectory-detail", desk.trajectory.pk)).content.decode()
    assert f'id="review-{review.pk}"' in detail
    undo_review(reviewer, review)
    assert "knows more" not in desk.open_list()
    assert count_unseen(desk.person) == 0


def test_the_rail_counts_what_is_unseen_in_one_query_and_parts_of_pages_ask_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    desk = Desk()
    Mention.objects.bulk_create(
        Mention(user=desk.person.user, trajectory=desk.trajectory, remark=remark)
        for remark in Remark.objects.bulk_create(Remark(trajectory=desk.trajectory, text="x") for _ in range(120))
    )
    with django_assert_num_queries(1):
        assert count_unseen(desk.person) == 100
    page = desk.client.get(desk.address("trajectory-list")).content.decode()
    assert "99+" in page
    with django_assert_num_queries(3) as captured:  # session, person, membership: no such trajectory, no such task
        desk.client.get(desk.address("find"), headers={"HX-Request": "true"})
    assert not any("mention" in query["sql"] for query in captured.captured_queries)


def test_a_page_of_fifty_mentions_takes_as_many_queries_as_one_of_two(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    desk = Desk()
    for number in range(60):
        desk.name_them(str(number))
    # Session, person, membership, mentions, what of it is hidden, the rail's count, projects.
    with django_assert_num_queries(7):
        page = desk.open_list()
    assert page.count('<article class="mention') == 50
    older = desk.client.get(desk.address("mention-list")).context["page"].next
    with django_assert_num_queries(7):
        assert desk.open_list(after=older).count('<article class="mention') == 10
    assert "damaged" in desk.open_list(after="nonsense")


def test_names_are_offered_to_members_without_ones_own() -> None:
    desk = Desk()
    names = desk.client.get(desk.address("remark-names")).json()["names"]
    assert desk.writer.user.username in names
    assert desk.person.user.username not in names
    outsider = Client()
    outsider.force_login(make_user())
    assert outsider.get(desk.address("remark-names")).status_code == 404
