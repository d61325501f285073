"""The list and the reading page: hostile text, filters, keyset pages, and how many queries they take."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from markdown_it import MarkdownIt
from pygments.lexer import Lexer
from pytest_django import DjangoAssertNumQueries

from curation.models import Project, Revision, Trajectory
from curation.rendering import PAGE_LIMIT
from curation.selectors.pages import BadCursor, take_page
from tests.factories import make_document, make_project, make_task, make_trajectories, make_trajectory, owner_access

pytestmark = pytest.mark.django_db


def client_of(project: Project) -> Client:
    client = Client()
    client.force_login(owner_access(project).user)
    return client


def count_characters(method: Callable[..., Any], seen: list[int]) -> Callable[..., Any]:
    """The method, which notes how long each text is that it is given."""

    def counted(self: object, text: str, *rest: Any) -> Any:
        seen.append(len(text))
        return method(self, text, *rest)

    return counted


def listed(project: Project, **filters: Any) -> list[int]:
    answer = client_of(project).get(reverse("curation:trajectory-list", args=[project.slug]), filters)
    return [row.pk for row in answer.context["page"].rows]


def test_each_filter_narrows_the_list() -> None:
    project = make_project()
    good = make_trajectory(project, task=make_task(project, "shop-1", band=5), success=True, status="accepted")
    bad = make_trajectory(project, task=make_task(project, "shop-2", band=1), success=False)
    open_ended = make_trajectory(project, task=make_task(project, "air-1"), success=None)
    assert listed(project) == [open_ended.pk, bad.pk, good.pk]
    assert listed(project, outcome="success") == [good.pk]
    assert listed(project, outcome="none") == [open_ended.pk]
    assert listed(project, status="accepted") == [good.pk]
    assert listed(project, band="5") == [good.pk]
    assert listed(project, band="unknown") == [open_ended.pk]
    assert listed(project, task="shop") == [bad.pk, good.pk]
    assert listed(project, model="nobody") == []


def test_a_filter_that_does_not_exist_reaches_no_column() -> None:
    project = make_project()
    make_trajectory(project)
    assert len(listed(project, project__members__password__startswith="x", order="project__slug")) == 1
    answer = client_of(project).get(f"/api/v1/projects/{project.slug}/trajectories/?task__project=1")
    assert answer.status_code == 400
    assert "no such filter" in str(answer.json())


@pytest.mark.parametrize("order", ["-id", "step_count"])
def test_pages_show_every_row_once_even_where_values_are_equal(order: str) -> None:
    project = make_project()
    make_trajectories(project, 7)
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = take_page(Trajectory.objects.all(), order=order, cursor=cursor, size=3)
        seen += [row.pk for row in page.rows]
        cursor = page.next
        if cursor is None:
            break
    assert sorted(seen) == sorted(Trajectory.objects.values_list("pk", flat=True))
    assert len(seen) == 7


@pytest.mark.parametrize(
    "cursor", ["x", "e30", "W10", "W251bGwsIDFd", "%00", "WzEsICJhIl0", "W0luZmluaXR5LDFd", "W05hTiwxXQ"]
)
def test_a_damaged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        take_page(Trajectory.objects.all(), order="-id", cursor=cursor)


def test_the_list_takes_as_many_queries_for_fifty_rows_as_for_one(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    project = make_project()
    make_trajectories(project, 30)
    client = client_of(project)
    with django_assert_max_num_queries(11) as captured:
        client.get(reverse("curation:trajectory-list", args=[project.slug]))
    assert not any("document" in query["sql"] for query in captured.captured_queries)


def test_hostile_text_is_shown_as_text() -> None:
    project = make_project()
    hostile = "</textarea></script><img src=x onerror=alert(1)>\x1b[31mred\x1b[0m{{ 7*7 }}"
    trajectory = make_trajectory(project, task=make_task(project, "<b>key</b>"))
    document = make_document(key="x", instruction=hostile)
    document["steps"][2]["message"][0]["text"] = hostile
    document["steps"][2]["tool_calls"][0]["function_name"] = "<svg onload=alert(1)>"
    document["steps"][2]["observation"]["results"][0]["content"][0]["text"] = hostile * 200
    Revision.objects.create(trajectory=trajectory, number=1, document=document)
    Trajectory.objects.update(head_number=1)
    client = client_of(project)
    for name, args in (("trajectory-detail", ()), ("step-edit", (3,)), ("revision-diff", (0, 1))):
        page = client.get(reverse(f"curation:{name}", args=[project.slug, trajectory.pk, *args])).content.decode()
        assert "<img" not in page
        assert "<svg onload" not in page
        assert "<b>key" not in page
        assert "onerror=alert(1)&gt;" in page
    assert (
        "\x1b"
        not in client.get(reverse("curation:trajectory-detail", args=[project.slug, trajectory.pk])).content.decode()
    )


def test_a_long_trajectory_is_read_a_page_of_steps_at_a_time() -> None:
    project = make_project()
    trajectory = make_trajectory(project, *[f"go {n}" for n in range(98)])
    client = client_of(project)
    address = reverse("curation:trajectory-detail", args=[project.slug, trajectory.pk])
    page = client.get(address).content.decode()
    assert page.count('class="step"') == 40
    assert page.count('href="#step-') == 100
    rest = client.get(reverse("curation:trajectory-steps", args=[project.slug, trajectory.pk]), {"first": 81})
    assert rest.content.decode().count('class="step"') == 20
    assert "first=121" not in rest.content.decode()


def test_a_page_of_long_texts_parses_and_highlights_a_bounded_part_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    for kind, name in ((MarkdownIt, "render"), (Lexer, "get_tokens")):
        monkeypatch.setattr(kind, name, count_characters(getattr(kind, name), parsed))
    project = make_project()
    trajectory = make_trajectory(project)
    document = make_document(*[f"go {number}" for number in range(38)])
    text = "```python\n" + "for x in y: pass\n" * 220 + "```"
    for step in document["steps"]:
        step["message"] = [{"type": "text", "text": text}]
        if step["source"] == "agent":
            step["reasoning_content"] = text
            step["tool_calls"][0] |= {"arguments": {"a": text}, "arguments_raw": json.dumps({"a": text})}
            step["observation"]["results"][0]["content"][0]["text"] = json.dumps([text])
    Revision.objects.create(trajectory=trajectory, number=1, document=document)
    Trajectory.objects.update(head_number=1)
    page = client_of(project).get(reverse("curation:trajectory-detail", args=[project.slug, trajectory.pk]))
    assert 0 < sum(parsed) <= PAGE_LIMIT
    assert page.content.decode().count("pass\n```") > 50
    assert page.content.decode().count("for </span>x") >= 220


def test_the_raw_document_is_served_as_data() -> None:
    project = make_project()
    trajectory = make_trajectory(project)
    answer = client_of(project).get(reverse("curation:trajectory-raw", args=[project.slug, trajectory.pk]))
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == Revision.objects.get(trajectory=trajectory).document


def test_the_palette_finds_a_trajectory_by_its_id_and_a_task_by_its_key() -> None:
    project = make_project()
    trajectory = make_trajectory(project, task=make_task(project, "airline-7"))
    client = client_of(project)
    address = reverse("curation:find", args=[project.slug])
    detail = reverse("curation:trajectory-detail", args=[project.slug, trajectory.pk])
    assert detail in client.get(address, {"q": str(trajectory.pk)}).content.decode()
    assert detail in client.get(address, {"q": "airl"}).content.decode()
    assert "Settings" in client.get(address, {"q": "sett"}).content.decode()


@pytest.mark.parametrize("words", ["\x00", "a\x00b", "'; --", "%", "9" * 40, "\ud7ff"])
def test_odd_words_in_the_palette_find_nothing_and_break_nothing(words: str) -> None:
    project = make_project()
    make_trajectory(project)
    assert client_of(project).get(reverse("curation:find", args=[project.slug]), {"q": words}).status_code == 200


@pytest.mark.parametrize(
    "query", ["task=%00", "origin=99999999999999999999", "origin=x", "after=%00", "band=7", "order=task__project__slug"]
)
def test_odd_filters_are_answered_and_break_nothing(query: str) -> None:
    project = make_project()
    make_trajectory(project)
    address = reverse("curation:trajectory-list", args=[project.slug])
    assert client_of(project).get(f"{address}?{query}").status_code == 200
    assert client_of(project).get(f"/api/v1/projects/{project.slug}/trajectories/?{query}").status_code == 400
