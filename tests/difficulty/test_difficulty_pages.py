from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import DifficultyFit, Project, Queue, Role, Task, Trajectory
from curation.services.difficulty_fits import queue_fit, run_fit
from curation.services.queues import create_queue
from tests.difficulty.cast import add_attempts, add_tasks
from tests.factories import make_member, make_project, make_trajectory, owner_access
from tests.queues.cast import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    """Two tasks of each band; of the two hardest nothing was accepted."""
    project = make_project()
    for band, won in ((1, 10), (2, 8), (3, 5), (4, 2), (5, 0)):
        for task in add_tasks(project, 2):
            attempts = add_attempts(task, 10, won=won, agent_character_count=40)
            if band < 4:
                Trajectory.objects.filter(pk=attempts[0].pk).update(status="accepted")
    run_fit(queue_fit(project).pk)
    return project


@pytest.fixture
def client(project: Project) -> Client:
    return sign_in(owner_access(project))


def address(project: Project, name: str = "report", **query: Any) -> str:
    return reverse(f"curation:difficulty-{name}", args=[project.slug], query=query)


def read(client: Client, place: str) -> str:
    answer = client.get(place)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


def test_the_report_says_what_is_kept_of_the_hard_tasks(project: Project, client: Client) -> None:
    page = read(client, address(project))
    assert "Accepted, against the target “as collected” · 10 tasks" in page
    assert "0 of 4 tasks of difficulty 4 and 5 have something in it" in page
    assert "? not certain yet" in page  # ten tasks cannot tell
    assert page.count("✕ below .80") == 2
    assert page.count("1.67") == 3  # kept more often than all together: a ratio may be above 1
    assert "Send 16 failed attempts to correction" in page
    assert "Send 20 failed attempts to correction" in page


def test_every_figure_leads_to_the_tasks_behind_it(project: Project, client: Client) -> None:
    page = read(client, address(project, unit="tasks"))
    places = set(re.findall(rf'href="({reverse("curation:task-list", args=[project.slug])}\?[^"]+)"', page))
    counts = {place.replace("&amp;", "&"): 0 for place in places}
    for place in counts:
        counts[place] = client.get(place).context["count"]
    root = reverse("curation:task-list", args=[project.slug])
    assert counts[f"{root}?band=5"] == 2
    assert counts[f"{root}?band=1&has=accepted"] == 2
    assert counts[f"{root}?band=4&has=success"] == 2
    assert counts[f"{root}?band=5&has=no-accepted"] == 2


@pytest.mark.parametrize(("unit", "amount"), [("tokens", "200"), ("attempts", "20"), ("tasks", "2")])
def test_amounts_are_shown_in_the_unit_that_is_chosen(project: Project, client: Client, unit: str, amount: str) -> None:
    assert f'?band=1">{amount}</a>' in read(client, address(project, unit=unit))


def test_an_unknown_unit_or_selection_falls_back_on_what_is_always_there(project: Project, client: Client) -> None:
    page = read(client, address(project, unit="furlongs", of="dataset-0"))
    assert "Accepted, against the target" in page
    assert "Supervised tokens by difficulty" in page


def test_an_empty_project_is_told_what_to_do(client: Client) -> None:
    empty = make_project()
    assert "No tasks yet" in read(sign_in(owner_access(empty)), address(empty))


def test_the_target_is_set_by_hand_and_has_to_add_up(project: Project, client: Client) -> None:
    place = address(project, "target")
    wrong = client.post(place, {"kind": "manual", "share_1": "50", "share_5": "40"})
    assert wrong.status_code == 400
    assert "the shares add up to 0.9, and have to add up to 1" in wrong.content.decode()
    project.refresh_from_db()
    assert project.target == {}
    shares = {f"share_{band}": share for band, share in zip(range(1, 6), (10, 15, 25, 25, 25), strict=True)}
    assert client.post(place, {"kind": "manual", **shares}).status_code == 302
    project.refresh_from_db()
    assert project.target["shares"] == {"1": 0.1, "2": 0.15, "3": 0.25, "4": 0.25, "5": 0.25}
    assert "against the target “by hand”" in read(client, address(project))
    assert 'value="15.0"' in read(client, place)


def test_the_failed_attempts_of_a_band_go_to_its_correction_queue(project: Project, client: Client) -> None:
    answer = client.post(address(project, "rescue"), {"band": "5"})
    queue = Queue.objects.get()
    assert answer["Location"] == reverse("curation:queue-detail", args=[project.slug, queue.pk])
    assert queue.items.count() == 20
    assert "Send 20 failed" not in read(client, address(project))
    page = client.post(address(project, "rescue"), {"band": "6"}, follow=True).content.decode()
    assert "There is no such difficulty: nothing was sent." in page
    assert Queue.objects.count() == 1


def test_a_queue_is_put_in_the_order_of_the_deficit(project: Project, client: Client) -> None:
    for task in Task.objects.filter(project=project, band__in=[1, 5]):
        make_trajectory(project, task=task)
    waiting = Trajectory.objects.filter(revisions__isnull=False)
    queue = create_queue(owner_access(project), name="Old", trajectories=waiting, order=Queue.Order.OLDEST)
    assert "Put this queue in that order" in read(client, address(project))
    assert client.post(address(project, "order"), {"queue": queue.pk}).status_code == 302
    queue.refresh_from_db()
    assert queue.order == Queue.Order.DEFICIT
    assert {item.band: item.rank for item in queue.items.all()} == {1: 1, 5: 0}
    assert "Put this queue in that order" not in read(client, address(project))
    assert client.post(address(project, "order"), {"queue": "x"}).status_code == 404


def test_difficulties_are_computed_anew_where_a_curator_asks(project: Project, client: Client) -> None:
    before = DifficultyFit.objects.count()
    assert client.post(address(project, "fit")).status_code == 302
    assert DifficultyFit.objects.count() == before + 1
    assert "Being computed" in read(client, address(project))


def test_models_that_share_no_task_are_said_not_to_be_compared(project: Project, client: Client) -> None:
    for model, task in zip(("one", "other"), Task.objects.all()[:2], strict=True):
        add_attempts(task, 2, won=1, model=model)
    run_fit(queue_fit(project).pk)
    assert "Not all of them can be compared" not in read(client, address(project))
    (apart,) = add_tasks(project, 1)
    add_attempts(apart, 2, won=1, model="stranger")
    run_fit(queue_fit(project).pk)
    assert "Not all of them can be compared: 2 groups" in read(client, address(project))


def test_reviewers_see_the_report_and_can_change_nothing(project: Project) -> None:
    reviewer = sign_in(make_member(project, Role.REVIEWER))
    page = read(reviewer, address(project))
    assert "Bias" in page
    for words in ("to correction", "Change the target", "Set quotas", "Compute anew"):
        assert words not in page
    for name in ("target", "rescue", "order", "fit"):
        assert reviewer.post(address(project, name)).status_code == 403
    assert sign_in(make_member(make_project())).get(address(project)).status_code == 404


def test_disagreements_are_listed_with_what_they_may_mean(project: Project, client: Client) -> None:
    easy = Task.objects.filter(band=1).earliest("pk")
    hard = Task.objects.filter(band=5).earliest("pk")
    Task.objects.filter(pk=easy.pk).update(human_grade=4, bands_apart=True)
    Task.objects.filter(pk=hard.pk).update(human_grade=1, bands_apart=True, attempts=2, grades_apart=True)
    page = read(client, address(project))
    assert "Agents solve what people find hard" in page
    assert "Agents fail at what people find easy" in page
    assert "Only 2 attempts: it may be luck." in page
    assert "All 2 tasks on which they disagree" in page
    assert "1 task with grades two or more apart" in page


def test_the_report_takes_as_many_statements_for_many_tasks_as_for_few(
    project: Project, client: Client, django_assert_max_num_queries: Any
) -> None:
    for task in add_tasks(project, 100, band=4, bands_apart=True, human_grade=4, pass_rate=0.9):
        add_attempts(task, 2)
    with django_assert_max_num_queries(25):
        client.get(address(project))
