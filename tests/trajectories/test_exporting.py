"""Trajectories on their way out: ATIF that the package accepts, OpenAI messages and ShareGPT that read back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import atif
import pytest
from django.test import Client
from django.urls import reverse

from curation.formats.atif import document_to_atif
from curation.formats.base import ImportContext, Parsed
from curation.formats.document import Document, text_of
from curation.formats.sharegpt import document_to_sharegpt
from curation.formats.sources import Source
from curation.models import Revision, Trajectory
from curation.permissions import Access
from tests.factories import make_document, make_project, make_trajectory, owner_access
from tests.formats.reading_aids import as_lines, only_document, parse_value
from tests.formats.samples import ATIF, SAMPLES, TURNS
from tests.imports.files import import_content

KINDS = ["atif", "openai", "sharegpt", "whetstone"]


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def export(client: Client, access: Access, **query: Any) -> list[Any]:
    response = client.get(reverse("curation:trajectory-list-export", args=[access.project.slug]), query)
    assert response.status_code == 200
    return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]  # type: ignore[attr-defined]  # it streams


def test_every_real_trajectory_is_valid_atif(shared_data: Path) -> None:
    seen = 0
    for path in sorted(shared_data.rglob("*.*")):
        if path.suffix not in (".json", ".jsonl", ".traj", ".eval", ".txt") or "expected" in path.name:
            continue
        try:
            with path.open("rb") as stream:
                found = [located.found for located in Source(stream, ImportContext(filename=path.name)).read()]
        except ValueError:
            continue
        for item in found[:40]:
            if isinstance(item, Parsed):
                atif.Trajectory.model_validate(document_to_atif(item.document))
                seen += 1
    assert seen > 400


def test_what_came_in_as_atif_goes_out_as_it_came(client: Client, db: None, access: Access) -> None:
    image = {"type": "image", "source": {"media_type": "image/png", "path": "images/1.png"}}
    steps = [{"step_id": 1, "source": "user", "message": [image, {"type": "text", "text": "Go."}]}, ATIF["steps"][1]]  # type: ignore[index]  # a list
    recorded = ATIF | {"steps": steps, "notes": "n", "extra": {"a": [1, 2.5]}}
    import_content(access, as_lines(recorded))
    client.force_login(access.user)
    assert export(client, access, format="atif") == [recorded]


@pytest.mark.parametrize("kind", ["openai", "sharegpt"])
def test_a_conversation_reads_back_as_it_was(client: Client, db: None, access: Access, kind: str) -> None:
    import_content(access, as_lines({"messages": TURNS, "tools": [{"type": "function", "function": {"name": "look"}}]}))
    client.force_login(access.user)
    (record,) = export(client, access, format=kind)
    document = only_document(parse_value("chat" if kind == "openai" else "sharegpt", record))
    said = [(step.actor, text_of(step.message)) for step in document.steps]
    calls = [call.arguments_raw for step in document.steps for call in step.tool_calls or []]
    assert calls == ['{"at": "door"}']
    assert said[0] == ("user", "Open the door.")
    assert said[-1] == ("assistant", "Done.")
    assert document.agent.tool_definitions == [{"type": "function", "function": {"name": "look"}}]


def test_what_is_not_trained_on_says_so_in_sharegpt_and_openai(db: None, client: Client, access: Access) -> None:
    turns: list[Any] = copy.deepcopy(TURNS)
    turns[1]["weight"] = 0
    import_content(access, as_lines({"messages": turns}))
    client.force_login(access.user)
    (openai,) = export(client, access, format="openai")
    assert [message.get("weight") for message in openai["messages"]] == [None, 0, None, None]
    (sharegpt,) = export(client, access, format="sharegpt")
    assert [turn.get("loss") for turn in sharegpt["conversations"]] == [None, False, False, None, None]


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_arguments_stand_in_sharegpt_as_they_were_recorded(name: str) -> None:
    for item in parse_value(name, SAMPLES[name]) if len(SAMPLES[name]) == 1 else []:
        document = getattr(item, "document", None)
        if isinstance(document, Document):
            written = json.dumps(document_to_sharegpt(document), ensure_ascii=False)
            for call in (call for step in document.steps for call in step.tool_calls or []):
                assert json.dumps(call.arguments_raw, ensure_ascii=False)[1:-1] in written


def test_a_selection_is_exported_and_nothing_of_other_projects(client: Client, db: None, access: Access) -> None:
    lines = [{"messages": TURNS, "task_id": f"t{n}", "reward": n % 2} for n in range(6)]
    import_content(access, as_lines(*lines))
    elsewhere = owner_access(make_project())
    import_content(elsewhere, as_lines({"messages": TURNS, "task_id": "foreign"}))
    client.force_login(access.user)
    chosen = export(client, access, format="whetstone", outcome="success")
    assert sorted(record["task"]["id"] for record in chosen) == ["t1", "t3", "t5"]
    foreign = Trajectory.objects.get(project=elsewhere.project)
    place = reverse("curation:trajectory-export", args=[access.project.slug, foreign.pk])
    assert client.get(place).status_code == 404
    assert client.get(reverse("curation:trajectory-list-export", args=[elsewhere.project.slug])).status_code == 404


def test_an_unknown_format_or_filter_exports_nothing(client: Client, db: None, access: Access) -> None:
    client.force_login(access.user)
    place = reverse("curation:trajectory-list-export", args=[access.project.slug])
    for query in ({"format": "pickle"}, {"outcome": "x"}):
        assert client.get(place, query).status_code == 302


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_asks_the_database_as_often_for_many_as_for_few(
    client: Client, db: None, access: Access, kind: str, django_assert_max_num_queries: Any
) -> None:
    import_content(access, as_lines(*[{"messages": TURNS, "task_id": f"t{n}"} for n in range(120)]))
    client.force_login(access.user)
    with django_assert_max_num_queries(6):
        assert len(export(client, access, format=kind)) == 120


def test_documents_go_out_as_they_are_stored_in_blocks_of_whole_lines(client: Client, db: None, access: Access) -> None:
    odd = 'C:\\n \\\\ "quoted" \n\t\u2028 é 🙂'
    for number in range(3):
        trajectory = make_trajectory(access.project)
        document = make_document(odd, "x" * 200_000, key=f"{number}")
        Revision.objects.create(trajectory=trajectory, number=1, document=document)
        Trajectory.objects.filter(pk=trajectory.pk).update(head_number=1)
    client.force_login(access.user)
    place = reverse("curation:trajectory-list-export", args=[access.project.slug])
    blocks = list(client.get(place, {"format": "whetstone"}).streaming_content)  # type: ignore[attr-defined]  # it streams
    assert len(blocks) > 1
    assert all(block.endswith(b"\n") for block in blocks)
    stored = Revision.objects.filter(number=1).order_by("trajectory_id").values_list("document", flat=True)
    assert [json.loads(line) for line in b"".join(blocks).splitlines()] == list(stored)
    assert [Document.model_validate(document).task.id for document in stored] == ["0", "1", "2"]
