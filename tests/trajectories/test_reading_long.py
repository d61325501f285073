"""A long trajectory: its steps in any order, long texts on demand, words found in it, and blind reviewers."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from curation.models import Project, Reservation, Revision, Trajectory
from curation.selectors.reading import MOST_HITS, find_in_steps, read_opening
from curation.services.queues import create_queue, take_next
from curation.services.reviews import Answer, save_draft
from tests.factories import make_document, make_member, make_project, make_trajectory, owner_access
from tests.trajectories.long import ERRORS, LONG_NEEDLE, LONG_STEP, NEEDLE, STEPS, make_long_trajectory

pytestmark = pytest.mark.django_db


def client_of(project: Project) -> Client:
    client = Client()
    client.force_login(owner_access(project).user)
    return client


def ask(trajectory: Trajectory, name: str, client: Client | None = None, **query: str | int) -> str:
    """The page or fragment; fails where it is refused."""
    answer = (client or client_of(trajectory.project)).get(address(trajectory, name), query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def address(trajectory: Trajectory, name: str) -> str:
    return reverse(f"curation:trajectory-{name}", args=[trajectory.project.slug, trajectory.pk])


def make_head(trajectory: Trajectory) -> Revision:
    return trajectory.revisions.get(number=trajectory.head_number)


def test_every_chunk_has_its_place_and_one_of_them_is_there() -> None:
    trajectory = make_long_trajectory(make_project())
    page = ask(trajectory, "detail")
    assert page.count('class="chunk"') == 26
    assert len(re.findall(r"data-loaded", page)) == 1
    assert page.count('class="step"') == 40
    assert 'id="chunk-1001"' in page
    assert f'data-last="{STEPS}"' in page
    later = ask(trajectory, "detail", first=1010)
    assert 'id="step-1030"' in later
    assert later.count('class="step"') == 30
    assert ask(trajectory, "detail", first=9999).count('class="step"') == 40


def test_a_chunk_is_what_its_first_step_says_wherever_it_begins() -> None:
    trajectory = make_long_trajectory(make_project())
    chunk = ask(trajectory, "steps", first=1001)
    assert re.findall(r'id="step-([^"]+)"', chunk) == [str(number) for number in range(1001, 1031)]
    assert 'id="step-681"' in ask(trajectory, "steps", first=700)
    assert "step-" not in ask(trajectory, "steps", first=4001)


@pytest.mark.parametrize("first", ["x", "-1", "0", "9" * 30, "1e3", "%00"])
def test_odd_places_are_answered_and_break_nothing(first: str) -> None:
    trajectory = make_trajectory(make_project())
    for name in ("steps", "detail"):
        assert client_of(trajectory.project).get(f"{address(trajectory, name)}?first={first}").status_code == 200
    for query in ("step=x&part=message", "step=1", "step=3&part=result-9", "step=99999999&part=message", "part=x"):
        assert client_of(trajectory.project).get(f"{address(trajectory, 'text')}?{query}").status_code == 404
    for path in ("x", "0", "0.0", "-1", "0." * 40, "99999"):
        assert client_of(trajectory.project).get(f"{address(trajectory, 'steps')}?subagent={path}").status_code == 404


def test_reading_takes_few_queries_and_never_the_whole_document(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    trajectory = make_long_trajectory(make_project())
    client = client_of(trajectory.project)
    asked: list[tuple[str, dict[str, str | int], int]] = [
        ("detail", {}, 14),
        ("steps", {"first": 681}, 6),
        ("find", {"q": NEEDLE}, 8),
    ]
    for name, query, most in asked:
        with django_assert_max_num_queries(most) as captured:
            ask(trajectory, name, client, **query)
        documents = [one["sql"] for one in captured.captured_queries if "document" in one["sql"]]
        assert len(documents) == 1
        assert '"document"' not in documents[0]


def test_a_very_long_text_is_sent_when_it_is_unfolded() -> None:
    trajectory = make_long_trajectory(make_project())
    chunk = ask(trajectory, "steps", first=81)
    assert LONG_NEEDLE not in chunk
    assert len(chunk) < 100_000
    assert f"step={LONG_STEP}&amp;part=result-0" in chunk
    assert LONG_NEEDLE in ask(trajectory, "text", step=LONG_STEP, part="result-0")
    assert "<strong>look</strong>" in ask(trajectory, "text", step=3, part="message")
    assert "**look**" in ask(trajectory, "text", step=3, part="message", written=1)
    assert "go 3" in ask(trajectory, "text", step=3, part="call-0")


def test_the_opening_knows_errors_tokens_and_subagents_without_their_steps() -> None:
    opening = read_opening(make_head(make_long_trajectory(make_project())), first=41)
    assert tuple(mark.step_id for mark in opening.marks if mark.is_error) == ERRORS
    assert [step["step_id"] for step in opening.steps] == list(range(41, 81))
    assert (opening.tokens_read, opening.tokens_written) == (1200, 34)
    assert opening.head["subagent_trajectories"] == [
        {"trajectory_id": "helper", "name": "model-of-helper", "step_count": 2}
    ]


def test_tokens_that_are_no_counts_are_left_out() -> None:
    trajectory = make_trajectory(make_project())
    document = make_document()
    document["steps"][2]["metrics"] = {"prompt_tokens": "many", "completion_tokens": 10**400}
    document["final_metrics"] = {"total_prompt_tokens": True, "total_completion_tokens": None}
    opening = read_opening(Revision.objects.create(trajectory=trajectory, number=1, document=document))
    assert (opening.tokens_read, opening.tokens_written) == (None, None)


def test_subagents_are_read_where_they_nest() -> None:
    trajectory = make_long_trajectory(make_project(), steps=6)
    assert "This is helper." not in ask(trajectory, "detail")
    helper = ask(trajectory, "steps", subagent="0")
    assert "This is helper." in helper
    assert "subagent=0.0" in helper
    assert "This is deeper." in ask(trajectory, "steps", subagent="0.0")


def test_words_are_found_in_every_text_of_a_step() -> None:
    trajectory = make_trajectory(make_project())
    document = make_document("open the café")
    step = document["steps"][2]
    step["reasoning_content"] = "A secret reason"
    step["tool_calls"].append(
        {"tool_call_id": "3.2", "function_name": "torn_call", "arguments": None, "arguments_raw": "{torn"}
    )
    revision = Revision.objects.create(trajectory=trajectory, number=1, document=document)

    def find(words: str) -> list[tuple[int, str]]:
        return [(hit.step_id, hit.part) for hit in find_in_steps(revision, words)]

    assert find("i WILL open") == [(3, "message")]
    assert find("secret") == [(3, "reasoning")]
    assert find("torn") == [(3, "call-1")]
    assert find("the café") == [(3, "message"), (3, "call-0"), (3, "result-0")]
    assert find("You act.") == [(1, "message")]
    assert find("ATIF") == find("tool_call_id") == find("") == find("\x00") == []


@pytest.mark.parametrize("words", ["100%", "100_", "%", "_", "\\", "'", '"', "%%s", "%(words)s", "$1", "\ud7ff"])
def test_a_percent_sign_is_a_percent_sign(words: str) -> None:
    trajectory = make_trajectory(make_project())
    document = make_document(f"see {words}!")
    document["steps"][1]["message"][0]["text"] = "100 plain"
    revision = Revision.objects.create(trajectory=trajectory, number=1, document=document)
    hits = find_in_steps(revision, f"see {words}!")
    assert {(hit.step_id, hit.match) for hit in hits} == {(3, f"see {words}!")}
    assert hits[0].part == "message"
    assert 2 not in [hit.step_id for hit in find_in_steps(revision, words)]


def test_hits_are_few_and_say_what_stands_around_them() -> None:
    trajectory = make_long_trajectory(make_project())
    revision = make_head(trajectory)
    assert len(find_in_steps(revision, "go")) == MOST_HITS
    hit = find_in_steps(revision, "A LONG shelf")[0]
    assert (hit.step_id, hit.before, hit.match, hit.times) == (LONG_STEP, "", "A long shelf", 2000)
    assert len(hit.after) == 120
    found = find_in_steps(revision, LONG_NEEDLE)[0]
    assert found.before.endswith("A long shelf. ")
    assert len(found.before) == 60


def test_hits_are_shown_as_text_and_lead_to_their_steps() -> None:
    trajectory = make_trajectory(make_project())
    hostile = "<script>alert(1)</script>\x1b[31m"
    Revision.objects.create(trajectory=trajectory, number=1, document=make_document(hostile))
    Trajectory.objects.update(head_number=1)
    page = ask(trajectory, "find", q="<SCRIPT>")
    assert "<mark>&lt;script&gt;</mark>alert(1)&lt;/script&gt;" in page
    assert "\x1b" not in page
    assert "?revision=1&amp;first=3#step-3" in page
    fragment = client_of(trajectory.project).get(
        address(trajectory, "find"), {"q": "alert"}, headers={"HX-Request": "true"}
    )
    assert b"<mark>" in fragment.content
    assert b"<html" not in fragment.content


def test_another_projects_trajectory_is_not_found() -> None:
    trajectory = make_trajectory(make_project())
    other = make_project()
    for name in ("steps", "text", "find"):
        place = reverse(f"curation:trajectory-{name}", args=[other.slug, trajectory.pk])
        assert client_of(other).get(place, {"q": "x", "step": "1", "part": "message"}).status_code == 404
    place = reverse("curation:revision-compare", args=[other.slug, trajectory.pk])
    assert client_of(other).get(place).status_code == 404


def test_any_two_revisions_are_compared_the_older_one_first() -> None:
    trajectory = make_long_trajectory(make_project(), steps=6)
    Revision.objects.create(trajectory=trajectory, number=2, document=make_document("look", "leave"))
    Trajectory.objects.update(head_number=2)
    client = client_of(trajectory.project)
    place = reverse("curation:revision-compare", args=[trajectory.project.slug, trajectory.pk])
    answer = client.get(place, {"a": 2, "b": 0}, follow=True)
    assert answer.redirect_chain[0][0].endswith("/diff/0-2/")
    assert "leave" in answer.content.decode()
    assert "Both have the same steps" in client.get(place, {"a": 1, "b": 1}, follow=True).content.decode()
    assert client.get(place, {"a": 7, "b": 0}).status_code == 404


def take(trajectory: Trajectory, *, blind: bool) -> tuple[Client, Reservation]:
    queue = create_queue(
        owner_access(trajectory.project), name="Queue", trajectories=Trajectory.objects.all(), blind=blind
    )
    person = make_member(trajectory.project)
    held = take_next(person, queue)
    assert held is not None
    client = Client()
    client.force_login(person.user)
    return client, held


def make_telling_trajectory() -> Trajectory:
    """One whose model, outcome, tags and pass rate would stand out on a page."""
    trajectory = make_long_trajectory(make_project())
    document = make_head(trajectory).document
    document["agent"] |= {"name": "agent-of-note", "model_name": "model-of-note"}
    document["steps"][2] |= {"model_name": "model-of-note"}
    Revision.objects.create(trajectory=trajectory, number=2, document=document)
    trajectory.head_number, trajectory.model, trajectory.tags = 2, "model-of-note", ["tag-of-note"]
    trajectory.save()
    trajectory.task.attempts, trajectory.task.successes, trajectory.task.band = 7, 6, 2
    trajectory.task.pass_rate = 6.5 / 8
    trajectory.task.save()
    return trajectory


TELLING = r"of-note|model-of|of 7|✓ success|The end|solved|class=\"band b2"


def test_a_blind_reviewer_is_told_neither_model_nor_outcome_nor_pass_rate() -> None:
    trajectory = make_telling_trajectory()
    client, held = take(trajectory, blind=True)
    page = client.get(reverse("curation:queue-review", args=[trajectory.project.slug, held.pk])).content.decode()
    assert 'class="chunk"' in page
    assert not re.search(TELLING, page.split('<aside class="panel"')[0])
    for name, query in (
        ("steps", {"first": 1}),
        ("steps", {"subagent": "0"}),
        ("find", {"q": "of-note"}),
        ("find", {"q": "model-of"}),
    ):
        found = ask(trajectory, name, client, reviewing=held.pk, **query)
        assert not re.search(TELLING, found.replace('value="of-note"', "").replace('value="model-of"', ""))
    assert "blind=1" in page
    assert not re.search(TELLING, ask(trajectory, "raw", client, blind=1))


def test_an_open_reviewer_is_told_all_of_it() -> None:
    trajectory = make_telling_trajectory()
    client, held = take(trajectory, blind=False)
    page = client.get(reverse("curation:queue-review", args=[trajectory.project.slug, held.pk])).content.decode()
    for words in ("model-of-note", "6 of 7 attempts solved", "The end: success", "tag-of-note"):
        assert words in page


def test_labels_of_the_draft_stand_in_every_chunk_loaded_or_not() -> None:
    trajectory = make_long_trajectory(make_project())
    client, held = take(trajectory, blind=False)
    access = owner_access(trajectory.project)
    access = type(access)(user=held.reviewer, project=access.project, roles=access.roles, address=None)
    save_draft(access, held, Answer(labels={5: "correct", 1005: "wrong"}, first_error=1005))
    page = client.get(reverse("curation:queue-review", args=[trajectory.project.slug, held.pk])).content.decode()
    assert re.search(r'type="hidden"\s+form="answer"\s+name="label-1005"\s+value="wrong"', page)
    assert re.search(r'type="hidden"\s+form="answer"\s+name="first_error"\s+value="1005"', page)
    assert not re.search(r'type="hidden"\s+form="answer"\s+name="label-5"', page)
    chunk = ask(trajectory, "steps", client, first=1001, reviewing=held.pk)
    assert re.search(r'name="label-1005"\s+value="wrong"\s+checked', chunk)
    assert re.search(r'name="first_error"\s+value="1005"\s+checked', chunk)
    assert "/steps/1005/edit/" in chunk


def test_another_reviewers_hold_shows_nothing() -> None:
    trajectory = make_long_trajectory(make_project(), steps=6)
    _, held = take(trajectory, blind=True)
    for wanted in (held.pk, 99999, "x"):
        for name in ("steps", "find"):
            answer = client_of(trajectory.project).get(address(trajectory, name), {"reviewing": wanted})
            assert answer.status_code == 404
