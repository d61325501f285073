"""Saved filters: kept from the list, picked there, renamed and removed."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import AuditEntry, Role, SavedFilter
from curation.permissions import Access
from curation.services.saved_filters import NameTaken, remove_filter, rename_filter
from tests.factories import keep_filter, make_member, make_project, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def access() -> Access:
    access = owner_access(make_project())
    make_trajectory(access.project)
    return access


@pytest.fixture
def curator(client: Client, access: Access) -> Client:
    client.force_login(access.user)
    return client


def address(access: Access, name: str, *args: int) -> str:
    return reverse(f"curation:{name}", args=[access.project.slug, *args])


def test_the_lists_conditions_are_kept_under_a_name_and_picked_in_the_list(curator: Client, access: Access) -> None:
    conditions = {"outcome": "success", "task": "ta&sk"}
    page = curator.get(address(access, "trajectory-list"), conditions).content.decode()
    assert "Keep these conditions as" in page
    answer = curator.post(address(access, "filter-list"), {"name": " Good ones ", "user": "x", **conditions})
    place = f"{address(access, 'trajectory-list')}?outcome=success&task=ta%26sk"
    assert answer.headers["Location"] == place
    saved = SavedFilter.objects.get()
    assert (saved.name, saved.conditions, saved.created_by) == ("Good ones", conditions, access.user)
    page = curator.get(address(access, "trajectory-list")).content.decode()
    picked = f"{address(access, 'trajectory-list')}?task=ta%26sk&amp;outcome=success"
    assert f'<a href="{picked}">Good ones</a>' in page
    assert "Keep these conditions as" not in page


def test_the_same_name_again_is_refused_in_words_unless_it_is_to_be_replaced(curator: Client, access: Access) -> None:
    keep_filter(access, "Hard", {"band": "5"})
    place = address(access, "filter-list")
    answer = curator.post(place, {"name": "Hard", "band": "4"})
    assert answer.status_code == 400
    assert "There is a saved filter named &#x27;Hard&#x27; already." in answer.content.decode()
    assert 'name="band" value="4"' in answer.content.decode()
    assert SavedFilter.objects.get().conditions == {"band": "5"}
    curator.post(place, {"name": "Hard", "band": "4", "replace": "on"})
    assert SavedFilter.objects.get().conditions == {"band": "4"}


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "a\nb", "a\x00b", "\ud800"])
def test_a_name_that_is_none_is_refused(access: Access, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 120 characters"):
        keep_filter(access, name, {"band": "5"})
    assert not SavedFilter.objects.exists()


def test_conditions_that_are_none_or_wrong_are_refused(curator: Client, access: Access) -> None:
    place = address(access, "filter-list")
    assert "no condition to save" in curator.post(place, {"name": "x"}).content.decode()
    assert "Select a valid choice" in curator.post(place, {"name": "x", "band": "9"}).content.decode()
    assert not SavedFilter.objects.exists()


def test_a_saved_filter_is_renamed_and_removed(curator: Client, access: Access) -> None:
    saved = keep_filter(access, "a", {"band": "5"})
    other = keep_filter(access, "b", {"band": "4"})
    with pytest.raises(NameTaken):
        rename_filter(access, saved, name="b")
    answer = curator.post(address(access, "filter-rename", other.pk), {"name": "a"}, follow=True)
    assert "already" in answer.content.decode()
    curator.post(address(access, "filter-rename", saved.pk), {"name": "c"})
    assert sorted(SavedFilter.objects.values_list("name", flat=True)) == ["b", "c"]
    curator.post(address(access, "filter-remove", other.pk))
    assert SavedFilter.objects.get().name == "c"
    actions = AuditEntry.objects.filter(action__startswith="filter.").order_by("pk")
    assert [entry.action for entry in actions] == ["filter.save", "filter.save", "filter.rename", "filter.remove"]


def test_reviewers_use_saved_filters_and_curators_change_them(client: Client, access: Access) -> None:
    saved = keep_filter(access, "</a><script>alert(1)</script>", {"band": "5"})
    reviewer = make_member(access.project, Role.REVIEWER)
    client.force_login(reviewer.user)
    for name in ("trajectory-list", "filter-list"):
        page = client.get(address(access, name)).content.decode()
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
        assert "Rename</button>" not in page
    changes = [("filter-list",), ("filter-rename", saved.pk), ("filter-remove", saved.pk)]
    places = [address(access, str(name), *map(int, args)) for name, *args in changes]
    assert {client.post(place, {"name": "x", "band": "1"}).status_code for place in places} == {403}
    client.force_login(owner_access(make_project()).user)
    assert {client.post(place, {"name": "x", "band": "1"}).status_code for place in places} == {404}
    with pytest.raises(Exception, match="needs the role curator"):
        remove_filter(reviewer, saved)


def test_ids_of_another_project_are_not_found(curator: Client, access: Access) -> None:
    theirs = keep_filter(owner_access(make_project()), "a", {"band": "5"})
    for name in ("filter-rename", "filter-remove"):
        assert curator.post(address(access, name, theirs.pk), {"name": "x"}).status_code == 404
    theirs.refresh_from_db()
    assert theirs.name == "a"
