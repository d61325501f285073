"""Rubrics: versions that never change, and answers that name the one they were given under."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from curation.models import Project, Queue, Review, Role, Rubric, Trajectory
from curation.services.queues import create_queue, take_next
from curation.services.reviews import Answer, save_draft, submit_review
from curation.services.rubrics import write_rubric
from curation.services.tokens import create_token
from tests.factories import make_member, make_project, make_trajectories, owner_access

pytestmark = pytest.mark.django_db
LEVELS = [{"value": 1, "label": "Poor"}, {"value": 2, "label": "Fair"}, {"value": 3, "label": "Good"}]
EFFICIENCY = {"name": "Efficiency", "description": "Were there detours?", "levels": LEVELS}


@pytest.fixture
def queue() -> Queue:
    project = make_project()
    make_trajectories(project, 3)
    return create_queue(owner_access(project), name="Q", trajectories=Trajectory.objects.filter(project=project))


def write(queue: Queue, *criteria: dict[str, Any], **options: Any) -> Rubric:
    return write_rubric(owner_access(queue.project), queue, guidelines="Be kind.", criteria=criteria, **options)


def test_an_answer_keeps_the_version_it_was_given_under(queue: Queue) -> None:
    first = write(queue, EFFICIENCY)
    person = make_member(queue.project)
    held = take_next(person, queue)
    assert held is not None
    review = submit_review(person, held, Answer(verdict="accept", scores={"efficiency": 3}, rubric=1))
    second = write(queue, EFFICIENCY | {"key": "efficiency", "name": "Thrift"}, {"name": "Tone", "levels": LEVELS})
    review.refresh_from_db()
    assert (review.rubric, review.scores) == (first, {"efficiency": 3})
    assert (second.number, [criterion["key"] for criterion in second.criteria]) == (2, ["efficiency", "tone"])
    following = take_next(person, queue)
    assert following is not None
    assert submit_review(person, following, Answer(verdict="accept", scores={"tone": 1})).rubric == second


def test_an_answer_begun_before_a_change_is_taken_as_it_was_shown(queue: Queue) -> None:
    write(queue, EFFICIENCY)
    person = make_member(queue.project)
    held = take_next(person, queue)
    assert held is not None
    save_draft(person, held, Answer(scores={"efficiency": 2}, rubric=1))
    write(queue, {"name": "Tone", "levels": LEVELS})
    held.item.queue.refresh_from_db()
    review = submit_review(person, held, Answer(verdict="accept", scores={"efficiency": 2}, rubric=1))
    assert review.rubric is not None
    assert (review.rubric.number, review.scores) == (1, {"efficiency": 2})


def test_the_database_refuses_to_change_a_version(queue: Queue) -> None:
    rubric = write(queue, EFFICIENCY)
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        Rubric.objects.filter(pk=rubric.pk).update(guidelines="Be cruel.")


def test_writing_the_same_again_makes_no_version(queue: Queue) -> None:
    first = write(queue, EFFICIENCY)
    assert write(queue, EFFICIENCY | {"key": "efficiency"}) == first


def test_of_two_curators_who_change_the_same_version_the_second_is_told(queue: Queue) -> None:
    write(queue, EFFICIENCY, base=0)
    with pytest.raises(ValueError, match="wrote version 1 in the meantime"):
        write(queue, {"name": "Tone", "levels": LEVELS}, base=0)
    assert queue.rubrics.count() == 1


@pytest.mark.parametrize(
    ("criterion", "problem"),
    [
        ({"name": "", "levels": LEVELS}, "Criterion 1, name"),
        ({"name": "Tone", "levels": LEVELS[:1]}, "Criterion 1, levels"),
        ({"name": "Tone", "levels": [LEVELS[0], LEVELS[0]]}, "ascend"),
        ({"name": "Tone", "levels": [{"value": 77, "label": "x"}, LEVELS[0]]}, "levels 0 value"),
        ({"name": "Tone", "levels": LEVELS, "key": "../etc"}, "Criterion 1, key"),
    ],
)
def test_a_criterion_that_cannot_be_is_named(queue: Queue, criterion: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        write(queue, criterion)
    assert not queue.rubrics.exists()


@pytest.mark.parametrize("scores", [{"tone": 1}, {"efficiency": 9}])
def test_a_score_outside_the_rubric_changes_nothing(queue: Queue, scores: dict[str, int]) -> None:
    write(queue, EFFICIENCY)
    person = make_member(queue.project)
    held = take_next(person, queue)
    assert held is not None
    with pytest.raises(ValueError, match="criterion"):
        submit_review(person, held, Answer(verdict="accept", scores=scores))
    assert not Review.objects.exists()


def test_the_page_writes_a_version_and_the_workbench_asks_for_its_levels(queue: Queue, client: Client) -> None:
    project: Project = queue.project
    client.force_login(owner_access(project).user)
    place = reverse("curation:queue-rubric", args=[project.slug, queue.pk])
    fields = {"base": "0", "guidelines": "<b>Read</b> it all.", "name-0": "Tone", "levels-0": "1 Rude\nPlain\nKind"}
    assert "Version 1 of the rubric" in client.post(place, fields, follow=True).content.decode()
    again = client.post(place, fields | {"name-0": "Manner"}, follow=True).content.decode()
    assert "in the meantime" in again
    assert "Manner" in again
    person = make_member(project)
    held = take_next(person, queue)
    assert held is not None
    client.force_login(person.user)
    page = reverse("curation:queue-review", args=[project.slug, held.pk])
    shown = client.get(page).content.decode()
    assert "Plain" in shown
    assert "<b>Read</b>" not in shown
    client.post(page, {"verdict": "accept", "score-tone": "2", "rubric": "1"})
    review = Review.objects.get()
    assert (review.scores, review.rubric and review.rubric.number) == ({"tone": 2}, 1)
    assert client.post(place, fields).status_code == 403
    detail = reverse("curation:trajectory-detail", args=[project.slug, review.trajectory_id])
    assert "rubric version 1" in client.get(detail).content.decode()


def test_rubrics_over_rest(queue: Queue) -> None:
    access = owner_access(queue.project)
    _, secret = create_token(access, name="t", scopes=[Role.CURATOR])
    api = APIClient(headers={"Authorization": f"Bearer {secret}"})
    place = f"/api/v1/projects/{queue.project.slug}/queues/{queue.pk}/rubrics/"
    made = api.post(place, {"guidelines": "Look.", "criteria": [EFFICIENCY]}, format="json")
    assert (made.status_code, made.json()["number"]) == (201, 1)
    refused = api.post(place, {"criteria": [{"name": "x", "levels": []}]}, format="json")
    assert refused.status_code == 400
    assert [version["number"] for version in api.get(place).json()] == [1]
