from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from curation.models import Judgement, PairSearch, PreferencePair, Role, Task
from curation.permissions import Access
from curation.services.pair_proposals import propose_pairs
from curation.services.pairs import choose_sides
from tests.factories import make_member, make_project, make_task, make_trajectory, owner_access
from tests.pairs.cast import correct, make_pairs, sign_in

pytestmark = pytest.mark.django_db


def answer(access: Access, pair: PreferencePair, value: str = "left-better") -> dict[str, Any]:
    sides = choose_sides(access, pair)
    return {"answer": value, "left": sides.left_id, "right": sides.right_id, "reason": "it finishes"}


def test_the_page_is_blind_until_the_answer_is_saved() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    access = make_member(project)
    client, address = sign_in(access), reverse("curation:pair-judge", args=[project.slug, pair.pk])
    page = client.get(address).content.decode()
    shown = page.split('id="duel"')[1]
    assert "✓ success" not in page
    assert "✕ failure" not in page
    assert f"trajectories/{pair.chosen.trajectory_id}/" not in page
    assert "take 0" in shown
    assert "they part here, at step 4" in page
    assert client.post(address, answer(access, pair)).status_code == 302
    page = client.get(address).content.decode()
    assert "✓ success" in page
    assert 'value="it finishes"' in page


def test_the_list_does_not_say_which_side_won_before_one_has_judged() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    link = f"trajectories/{pair.chosen.trajectory_id}/"
    list_address = reverse("curation:pair-list", args=[project.slug])
    assert link not in sign_in(make_member(project, Role.REVIEWER)).get(list_address).content.decode()
    assert link in sign_in(make_member(project, Role.CURATOR)).get(list_address).content.decode()


def test_sides_do_not_flip_on_a_reload_and_are_recorded_as_shown() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    access = make_member(project)
    client, address = sign_in(access), reverse("curation:pair-judge", args=[project.slug, pair.pk])
    sides = [(client.get(address).context["left"].pk, client.get(address).context["right"].pk) for _ in range(3)]
    assert len(set(sides)) == 1
    client.post(address, answer(access, pair))
    judgement = Judgement.objects.get()
    assert (judgement.left_id, judgement.right_id) == sides[0]


def test_save_and_next_goes_to_the_next_open_pair_and_then_to_the_list() -> None:
    project = make_project()
    pairs = make_pairs(project, 2)
    access = make_member(project)
    client = sign_in(access)
    first = client.get(reverse("curation:pair-next", args=[project.slug]), follow=True).context["pair"]
    other = next(pair for pair in pairs if pair != first)
    saved = client.post(reverse("curation:pair-judge", args=[project.slug, first.pk]), answer(access, first))
    assert saved["Location"] == reverse("curation:pair-judge", args=[project.slug, other.pk])
    saved = client.post(reverse("curation:pair-judge", args=[project.slug, other.pk]), answer(access, other))
    assert saved["Location"] == reverse("curation:pair-list", args=[project.slug])


def test_skipping_goes_on_and_saves_nothing() -> None:
    project = make_project()
    one, other = make_pairs(project, 2)
    client = sign_in(make_member(project))
    address = reverse("curation:pair-next", args=[project.slug])
    assert client.get(address, {"after": one.pk})["Location"].endswith(f"/pairs/{other.pk}/")
    assert client.get(address, {"after": other.pk})["Location"].endswith(f"/pairs/{one.pk}/")
    assert Judgement.objects.count() == 0


def test_a_refused_answer_loses_nothing_that_was_typed() -> None:
    project = make_project()
    pair, other = make_pairs(project, 2)
    access = make_member(project)
    address = reverse("curation:pair-judge", args=[project.slug, pair.pk])
    page = sign_in(access).post(address, answer(access, pair) | {"left": other.chosen_id}).content.decode()
    assert "not the two sides" in page
    assert 'value="it finishes"' in page
    assert Judgement.objects.count() == 0


@pytest.mark.parametrize("name", ["pair-judge", "pair-steps"])
def test_a_pair_of_another_project_is_not_found(name: str) -> None:
    (foreign,) = make_pairs(make_project())
    project = make_project()
    client = sign_in(make_member(project))
    address = reverse(f"curation:{name}", args=[project.slug, foreign.pk])
    assert client.get(address).status_code == 404
    assert client.get(reverse("curation:pair-next", args=[project.slug]), {"after": foreign.pk}).status_code == 404
    if name == "pair-judge":
        assert client.post(address, {"answer": "tie", "left": 1, "right": 2}).status_code == 404


def test_roles_are_checked_on_every_page() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    engineer, reviewer = sign_in(make_member(project, Role.ENGINEER)), sign_in(make_member(project))
    assert engineer.get(reverse("curation:pair-list", args=[project.slug])).status_code == 200
    assert engineer.get(reverse("curation:pair-judge", args=[project.slug, pair.pk])).status_code == 403
    assert engineer.get(reverse("curation:pair-next", args=[project.slug])).status_code == 403
    assert reviewer.post(reverse("curation:pair-propose", args=[project.slug])).status_code == 403
    stranger = sign_in(make_member(make_project()))
    assert stranger.get(reverse("curation:pair-list", args=[project.slug])).status_code == 404


def test_text_of_a_trajectory_is_never_markup() -> None:
    project = make_project()
    task = make_task(project)
    make_trajectory(project, "look", '<img src=x onerror=alert(1)> "</script><b hx-get=/x>', task=task)
    make_trajectory(project, "look", "drop", task=task, success=False)
    propose_pairs(owner_access(project))
    pair = PreferencePair.objects.get()
    page = sign_in(make_member(project)).get(reverse("curation:pair-judge", args=[project.slug, pair.pk]))
    assert "<img src=x" not in page.content.decode()
    assert "<b hx-get" not in page.content.decode()
    assert "&lt;img src=x" in page.content.decode()


def test_steps_are_shown_a_page_at_a_time_and_the_shared_ones_on_demand() -> None:
    project = make_project()
    task = make_task(project)
    shared = [f"step {number}" for number in range(30)]
    make_trajectory(project, *shared, *[f"good {number}" for number in range(25)], task=task)
    make_trajectory(project, *shared, "bad", task=task, success=False)
    propose_pairs(owner_access(project))
    pair = PreferencePair.objects.get()
    client = sign_in(make_member(project))
    page = client.get(reverse("curation:pair-judge", args=[project.slug, pair.pk]))
    assert len(page.context["rows"]) == 20
    assert "has ended" in page.content.decode()
    steps = reverse("curation:pair-steps", args=[project.slug, pair.pk])
    more = client.get(steps, {"first": page.context["next_first"]}, headers={"HX-Request": "true"})
    assert (len(more.context["rows"]), more.context["next_first"]) == (5, None)
    assert b"<html" not in more.content
    common = client.get(steps, {"shared": "1", "first": "21"})
    assert (len(common.context["rows"]), common.context["next_first"]) == (12, None)
    assert b"<html" in common.content


def test_a_long_list_takes_few_statements_and_reads_no_document(django_assert_max_num_queries: Any) -> None:
    project = make_project()
    make_pairs(project, 12)
    curator, reviewer = sign_in(owner_access(project)), sign_in(make_member(project))
    with django_assert_max_num_queries(13):
        assert curator.get(reverse("curation:pair-list", args=[project.slug])).status_code == 200
    with django_assert_max_num_queries(11) as captured:
        assert reviewer.get(reverse("curation:pair-list", args=[project.slug])).status_code == 200
    assert not any('"document"' in query["sql"] for query in captured.captured_queries)


@pytest.mark.parametrize("query", ["?status=no", "?band=9", "?after=%00", "?after=W10", "?reviewer__password=x"])
def test_a_damaged_address_still_shows_the_list(query: str) -> None:
    project = make_project()
    make_pairs(project)
    assert sign_in(make_member(project)).get(f"/p/{project.slug}/pairs/{query}").status_code == 200


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("status=proposed", 2),
        ("origin=outcome", 2),
        ("origin=reward", 1),
        ("warning=length", 1),
        ("warning=none", 2),
        ("step_only=true", 1),
        ("band=4", 1),
        ("band=unknown", 2),
        ("task=hard-", 1),
        ("warning=none&status=proposed&step_only=false", 2),
    ],
)
def test_the_list_is_narrowed(query: str, number: int) -> None:
    project = make_project()
    *_, last = make_pairs(project, 3)
    PreferencePair.objects.filter(pk=last.pk).update(
        status="confirmed", origin="reward", warnings=["length"], step_only=True
    )
    Task.objects.filter(pk=last.task_id).update(band=4, key="hard-1")
    client = sign_in(make_member(project))
    assert len(client.get(f"/p/{project.slug}/pairs/?{query}").context["page"].rows) == number


def test_a_search_is_begun_once_shown_while_it_runs_and_stopped() -> None:
    project = make_project()
    client = sign_in(owner_access(project))
    address = reverse("curation:pair-list", args=[project.slug])
    choice = {"origins": ["outcome", "reward"], "most_per_task": 5}
    assert client.post(reverse("curation:pair-propose", args=[project.slug]), choice).status_code == 302
    search = PairSearch.objects.get()
    assert (search.state, search.origins, search.most_per_task) == ("queued", ["outcome", "reward"], 5)
    again = client.post(reverse("curation:pair-propose", args=[project.slug]), choice)
    assert again.status_code == 400
    assert "already" in again.content.decode()
    polled = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "Looking for pairs" in polled
    assert 'hx-trigger="every 1s"' in polled
    assert "<html" not in polled
    stop = reverse("curation:pair-search-stop", args=[project.slug, search.pk])
    assert sign_in(make_member(project)).post(stop).status_code == 403
    assert sign_in(owner_access(make_project())).post(stop).status_code == 404
    assert client.post(stop).status_code == 302
    polled = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "was stopped" in polled
    assert "hx-trigger" not in polled


def test_a_search_says_what_it_came_to_and_why_some_were_left_out() -> None:
    project = make_project()
    task = make_task(project)
    make_trajectory(project, "a", "b", task=task)
    make_trajectory(project, "a", "b", task=task, success=False)
    propose_pairs(owner_access(project))
    page = sign_in(owner_access(project)).get(reverse("curation:pair-list", args=[project.slug])).content.decode()
    assert "0 new pairs" in page
    assert "Both sides are the same, message for message." in page


@pytest.mark.parametrize(
    "choice",
    [{}, {"origins": "imported"}, {"origins": "outcome", "most_per_task": "0"}, {"origins": "models", "one": "x"}],
)
def test_a_choice_that_makes_no_sense_comes_back_as_it_was_made(choice: dict[str, str]) -> None:
    project = make_project()
    make_pairs(project)
    PairSearch.objects.all().delete()
    client = sign_in(owner_access(project))
    page = client.post(reverse("curation:pair-propose", args=[project.slug]), {"most_per_task": "7"} | choice)
    assert page.status_code == 400
    assert PairSearch.objects.count() == 0
    assert f'value="{choice.get("most_per_task", "7")}"' in page.content.decode()


def test_steps_stand_beside_their_like() -> None:
    project = make_project()
    task = make_task(project)
    make_trajectory(project, "look", "take the lamp", "go north", "open the door", task=task)
    make_trajectory(project, "look", "open the door", task=task, success=False)
    propose_pairs(owner_access(project))
    pair = PreferencePair.objects.get()
    page = sign_in(make_member(project)).get(reverse("curation:pair-judge", args=[project.slug, pair.pk]))
    rows = [sorted(str(side["step_id"]) if side else "" for side in (r.left, r.right)) for r in page.context["rows"]]
    assert rows == [["", "4"], ["", "5"], ["4", "6"]]
    assert page.content.decode().count("has no step like this") == 2


def test_of_a_single_turn_only_that_turn_is_shown() -> None:
    project = make_project()
    correct(make_trajectory(project, "a", "b", "c", success=False), "a", "x", "c")
    propose_pairs(owner_access(project), origins=["step"])
    pair = PreferencePair.objects.get()
    page = sign_in(make_member(project)).get(reverse("curation:pair-judge", args=[project.slug, pair.pk]))
    assert (len(page.context["rows"]), page.context["next_first"]) == (1, None)
    assert "one turn on each side" in page.content.decode()


def test_taking_back_withdraws_one_judgement_even_on_a_double_click() -> None:
    project = make_project()
    pairs = make_pairs(project, 2)
    access = make_member(project)
    client = sign_in(access)
    for pair in pairs:
        client.post(reverse("curation:pair-judge", args=[project.slug, pair.pk]), answer(access, pair))
    last = Judgement.objects.latest("pk")
    undo = reverse("curation:pair-undo", args=[project.slug])
    shown = client.post(undo, {"judgement": last.pk}, follow=True)
    assert shown.context["pair"].pk == last.pair_id
    assert (shown.context["answer"], shown.context["reason"]) == ("left-better", "it finishes")
    client.post(undo, {"judgement": last.pk})
    assert Judgement.objects.count() == 1
    assert PreferencePair.objects.get(pk=last.pair_id).status == "proposed"


def test_a_curator_decides_from_the_page() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    access = make_member(project, Role.CURATOR, Role.REVIEWER)
    address = reverse("curation:pair-judge", args=[project.slug, pair.pk])
    assert b'name="decide"' in sign_in(access).get(address).content
    assert b'name="decide"' not in sign_in(make_member(project)).get(address).content
    assert sign_in(make_member(project)).post(address, answer(access, pair) | {"decide": "1"}).status_code == 403
    sign_in(access).post(address, answer(access, pair) | {"decide": "1"})
    assert Judgement.objects.get().decides


def test_reading_a_pair_takes_few_statements_and_no_whole_document(django_assert_max_num_queries: Any) -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    client = sign_in(make_member(project))
    with django_assert_max_num_queries(17) as captured:
        client.get(reverse("curation:pair-judge", args=[project.slug, pair.pk]))
    assert not any('"curation_revision"."document"' in query["sql"] for query in captured.captured_queries)
