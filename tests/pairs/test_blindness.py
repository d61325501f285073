"""What a reviewer may know of a pair before judging it: nothing that tells one side from the other."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import PreferencePair, Project, Role
from curation.permissions import Access
from curation.revisions import EditStep, InsertStep, ObservationEdit
from curation.selectors.trajectories import list_trajectories
from curation.services.corrections import correct_trajectory
from curation.services.pair_queue import submit_judgement
from curation.services.pairs import record_judgement
from curation.services.tokens import create_token
from tests.factories import make_member, make_project, make_trajectory, owner_access
from tests.pairs.cast import answer_for, make_pairs, make_queue, sign_in, take

pytestmark = pytest.mark.django_db

TELLTALES = ("secret-model", "✓ success", "✕ failure", "7654", "2109", "much longer", "characters by the agent")


@pytest.fixture
def pair() -> PreferencePair:
    """A pair with everything about it that could tell, confirmed by somebody else."""
    project = make_project()
    (made,) = make_pairs(project)
    project.trajectories.update(model="secret-model")
    PreferencePair.objects.update(
        chosen_characters=7654, rejected_characters=2109, warnings=["length", "tools"], confidence=0.5
    )
    other = make_member(project)
    record_judgement(other, made, answer_for(other, made, winner=made.chosen_id, reason="Because of secret-model."))
    made.refresh_from_db()
    return made


def call(access: Access) -> Client:
    _, secret = create_token(access, name="test", scopes=access.roles)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def addresses(project: Project, pair: PreferencePair) -> dict[str, str]:
    """Pages and endpoints that show a pair, by name."""
    pages = {name: reverse(f"curation:{name}", args=[project.slug, pair.pk]) for name in ("pair-judge", "pair-steps")}
    rest = f"/api/v1/projects/{project.slug}/pairs/"
    return pages | {
        "pair-list": reverse("curation:pair-list", args=[project.slug]),
        "api-list": rest,
        "api-detail": f"{rest}{pair.pk}/",
    }


@pytest.mark.parametrize("name", ["pair-judge", "pair-steps", "pair-list", "api-list", "api-detail"])
def test_nothing_tells_before_one_has_judged(pair: PreferencePair, name: str) -> None:
    access = make_member(pair.project)
    client = call(access) if name.startswith("api") else sign_in(access)
    text = client.get(addresses(pair.project, pair)[name]).content.decode()
    text = text.split("<tbody>")[-1] if name == "pair-list" else text  # above it, filters name every warning there is
    assert [word for word in TELLTALES if word in text] == []
    assert f"trajectories/{pair.chosen.trajectory_id}/" not in text


def test_the_page_of_a_queue_tells_nothing_either(pair: PreferencePair) -> None:
    access = make_member(pair.project)
    held = take(access, make_queue(pair.project))
    text = sign_in(access).get(reverse("curation:queue-judge", args=[pair.project.slug, held.pk])).content.decode()
    assert [word for word in TELLTALES if word in text] == []
    assert "The tools differ" in text, "of a warning that tells nothing of the sides, one is warned"


def test_sides_and_lengths_are_known_after_judging(pair: PreferencePair) -> None:
    access = make_member(pair.project)
    record_judgement(access, pair, answer_for(access, pair, winner=pair.rejected_id))
    text = sign_in(access).get(addresses(pair.project, pair)["pair-judge"]).content.decode()
    assert [word for word in TELLTALES if word in text] == [
        "secret-model",
        "✓ success",
        "✕ failure",
        "much longer",
        "characters by the agent",
    ]
    assert "7,654" in text
    (row,) = call(access).get(addresses(pair.project, pair)["api-list"]).json()["results"]
    assert row["chosen"]["characters"] in (7654, 2109)
    assert row["warnings"] == ["length", "tools"]


def test_others_judgements_are_read_after_ones_own(pair: PreferencePair) -> None:
    access = make_member(pair.project)
    address = f"{addresses(pair.project, pair)['api-detail']}judgements/"
    refused = call(access).get(address)
    assert (refused.status_code, "secret-model" in refused.content.decode()) == (403, False)
    record_judgement(access, pair, answer_for(access, pair, winner=None))
    rows: list[dict[str, Any]] = call(access).get(address).json()["results"]
    assert [row["preferred"] for row in rows] == [pair.chosen.trajectory_id, None]
    curator = make_member(pair.project, Role.CURATOR)
    assert len(call(curator).get(address).json()["results"]) == 2


def test_who_only_judges_is_not_told_which_side_is_usually_longer(pair: PreferencePair) -> None:
    address = f"/api/v1/projects/{pair.project.slug}/pairs/length-bias/"
    reviewer, curator = make_member(pair.project), make_member(pair.project, Role.CURATOR, Role.REVIEWER)
    assert call(reviewer).get(address).status_code == 403
    whole = call(curator).get(address).json()["whole"]
    assert (whole["pairs"], whole["longer"], whole["share"]) == (1, 1, 1.0)
    page = addresses(pair.project, pair)["pair-list"]
    assert "Length of the chosen side" not in sign_in(reviewer).get(page).content.decode()
    assert "Length of the chosen side" in sign_in(curator).get(page).content.decode()


def test_the_sides_are_drawn_by_lot_whatever_kind_of_pair_it_is() -> None:
    project = make_project()
    make_pairs(project, 24)
    access = make_member(project)
    client = sign_in(access)
    chosen_left = sum(
        client.get(addresses(project, pair)["pair-judge"]).context["left"].pk == pair.chosen_id
        for pair in PreferencePair.objects.all()
    )
    assert 3 < chosen_left < 21


def test_a_turn_that_was_corrected_by_hand_is_not_marked() -> None:
    project = make_project()
    lost = make_trajectory(project, "look", "drop", success=False)
    access = owner_access(project)
    for edit in (
        EditStep(step_id=4, message="I take it.", observations=(ObservationEdit(result=0, text="You have it."),)),
        InsertStep(after_step_id=3, message="I think."),
    ):
        correct_trajectory(access, lost, edit, base=lost.head_number, reason="")
        lost.refresh_from_db()
    pair = PreferencePair.objects.get()
    assert "by_hand" in str(pair.chosen.document)
    reviewer = make_member(project)
    page = sign_in(reviewer).get(addresses(project, pair)["pair-judge"])
    assert "You have it." in page.content.decode()
    assert "by hand" not in page.content.decode()
    assert "by_hand" not in str([(row.left, row.right) for row in page.context["rows"]])
    assert "by_hand" not in call(reviewer).get(addresses(project, pair)["api-detail"]).content.decode()


def settle_as_tie(pair: PreferencePair) -> None:
    """Somebody else judged it in a blind queue that wants more judgements."""
    other, queue = make_member(pair.project), make_queue(pair.project, blind=True, reviews_wanted=3)
    submit_judgement(other, take(other, queue), answer_for(other, pair, winner=None))


def test_what_others_judged_of_a_pair_in_a_blind_queue_is_told_after_ones_own_judgement() -> None:
    project = make_project()
    (pair,) = make_pairs(project)
    settle_as_tie(pair)
    access = make_member(project)
    rest, page = call(access), sign_in(access)
    results = ("status", "strength", "confidence")

    def told(who: Client) -> list[object]:
        (row,) = who.get(addresses(project, pair)["api-list"]).json()["results"]
        return [row[name] for name in results]

    assert told(rest) == [None, None, None]
    assert told(call(make_member(project, Role.CURATOR, Role.REVIEWER))) == ["tie", None, 0.5]
    assert told(call(make_member(project, Role.ENGINEER))) == ["tie", None, 0.5]
    table = page.get(addresses(project, pair)["pair-list"]).content.decode().split("<tbody>")[-1]
    assert [word for word in ("Tie", "% sure") if word in table] == []
    record_judgement(access, pair, answer_for(access, pair, winner=None))
    assert told(rest) == ["tie", None, 0.5]
    assert "Tie" in page.get(addresses(project, pair)["pair-list"]).content.decode().split("<tbody>")[-1]


@pytest.mark.parametrize("condition", ["status=tie", "status=proposed", "warning=length", "warning=none"])
def test_no_filter_tells_of_a_pair_in_a_blind_queue(condition: str) -> None:
    project = make_project()
    pair, other = make_pairs(project, 2)
    warnings = ["length"] if condition == "warning=length" else []
    PreferencePair.objects.update(warnings=warnings)
    queue = make_queue(project, blind=True)
    queue.items.filter(pair=other).delete()
    if condition == "status=tie":
        for each in (pair, other):
            curator = owner_access(project)
            record_judgement(curator, each, answer_for(curator, each, winner=None))
    access = make_member(project)
    rows = call(access).get(f"{addresses(project, pair)['api-list']}?{condition}").json()["results"]
    assert [row["id"] for row in rows] == [other.pk], "the one that is in no blind queue"
    page = sign_in(access).get(f"{addresses(project, pair)['pair-list']}?{condition}")
    assert [row.pk for row in page.context["page"].rows] == [other.pk]
    assert sum(number for _, _, number in page.context["statuses"]) == 1


def test_lists_leave_both_sides_of_a_pair_in_a_blind_queue_out_until_it_is_judged() -> None:
    project = make_project()
    pair = make_pairs(project)[0]
    queue, person = make_queue(project, blind=True), make_member(project)
    sides = {pair.chosen.trajectory_id, pair.rejected.trajectory_id}
    assert not sides & set(list_trajectories(person).values_list("pk", flat=True))
    assert sides <= set(list_trajectories(owner_access(project)).values_list("pk", flat=True))
    submit_judgement(person, take(person, queue), answer_for(person, pair, winner=pair.chosen_id))
    assert sides <= set(list_trajectories(person).values_list("pk", flat=True))
