"""What was counted in a trajectory, and what it repeats: on its page and over REST, and not where it is blind."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import Trajectory
from curation.services.queues import create_queue
from tests.factories import make_member, make_project, make_trajectory, owner_access
from tests.trajectories.indexed import index, rewrite, tell

pytestmark = pytest.mark.django_db(transaction=True)


def open_page(client: Client, trajectory: Trajectory, **query: Any) -> str:
    page = reverse("curation:trajectory-detail", args=[trajectory.project.slug, trajectory.pk])
    return client.get(page, query).content.decode()


def test_the_page_and_rest_show_what_was_counted_and_what_is_repeated(client: Client) -> None:
    project = make_project()
    access = owner_access(project)
    client.force_login(access.user)
    make_trajectory(project, tell(1))
    trajectory = make_trajectory(project, tell(1, version=2))
    index(project)
    trajectory.refresh_from_db()
    Trajectory.objects.filter(pk=trajectory.pk).update(
        error_count=3,
        unknown_tool_count=2,
        bad_argument_count=4,
        unreadable_count=5,
        loop_length=6,
        context_overflow=True,
    )
    page = open_page(client, trajectory)
    for words in (
        "errors: 3",
        "unknown tools: 2",
        "bad arguments: 4",
        "unreadable turns: 5",
        "loop of 6 steps",
        "overflow",
    ):
        assert words in page
    assert f"nearly repeats #{trajectory.duplicate_of_id} ({trajectory.similarity:.2f})" in page
    assert "nearly repeats" not in open_page(client, make_trajectory(project))
    url = reverse("api-trajectory-detail", args=[project.slug, trajectory.pk])
    found = client.get(url).json()
    assert (found["error_count"], found["loop_length"], found["context_overflow"]) == (3, 6, True)
    assert (found["duplicate_of"], found["similarity"]) == (trajectory.duplicate_of_id, trajectory.similarity)


def test_whoever_may_be_given_a_trajectory_blind_is_not_shown_what_was_counted(client: Client) -> None:
    project = make_project()
    trajectory = make_trajectory(project, "look")
    Trajectory.objects.update(error_count=3, duplicate_of=trajectory.pk, similarity=1.0)
    chosen = Trajectory.objects.filter(pk=trajectory.pk)
    create_queue(owner_access(project), name="Blind", trajectories=chosen, reviews_wanted=1, blind=True)
    client.force_login(make_member(project).user)
    assert "errors: 3" not in (page := open_page(client, trajectory))
    assert "repeats #" not in page
    client.force_login(owner_access(project).user)
    assert "errors: 3" in (page := open_page(client, trajectory))
    assert f"repeats #{trajectory.pk}" in page


def test_the_page_of_an_older_revision_does_not_show_what_was_counted_in_the_newest(client: Client) -> None:
    project = make_project()
    client.force_login(owner_access(project).user)
    trajectory = make_trajectory(project, "look")
    rewrite(trajectory, "take")
    Trajectory.objects.update(error_count=3)
    assert "errors: 3" in open_page(client, trajectory)
    assert "errors: 3" not in open_page(client, trajectory, revision=0)
