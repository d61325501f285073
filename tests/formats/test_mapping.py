"""Records in no known format, read where a person says their fields stand."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydantic import ValidationError

from curation.formats.base import Found, ImportContext, Parsed, Rejected
from curation.formats.mapping import FieldMapping, MappedFormat, list_paths, suggest_mapping
from tests.formats.reading_aids import as_lines

RECORD: dict[str, Any] = {
    "id": "t1",
    "data": {"turns": [{"speaker": "customer", "text": "Hi"}, {"speaker": "bot", "text": "Hello"}]},
    "meta": {"scores": [0.5], "who": {"model": "m"}},
    "strange key": 1,
}


def read(mapping: FieldMapping, *records: Any) -> list[Found]:
    return list(MappedFormat(mapping).parse(io.BytesIO(as_lines(*records)), ImportContext()))


def test_a_mapping_is_suggested_from_the_first_record() -> None:
    suggested = suggest_mapping(RECORD)
    assert suggested == FieldMapping(
        messages="data.turns", role="speaker", content="text", task_id="id", model="meta.who.model",
        roles={"customer": "user", "bot": "assistant"},
    )  # fmt: skip


def test_a_record_without_messages_gets_no_suggestion() -> None:
    assert suggest_mapping({"a": 1, "b": ["x"], "c": [{"x": 1}]}) is None


def test_records_are_read_by_their_mapping() -> None:
    mapping = FieldMapping(
        messages="data.turns", role="speaker", content="text", task_id="id", reward="meta.scores[0]",
        model="meta.who.model", roles={"customer": "user", "bot": "assistant"},
    )  # fmt: skip
    (found,) = read(mapping, RECORD)
    assert isinstance(found, Parsed)
    document = found.document
    assert [step.actor for step in document.steps] == ["user", "assistant"]
    assert (document.task.id, document.outcome.reward, document.agent.model_name) == ("t1", 0.5, "m")
    assert (document.source.format, found.warnings) == ("mapping", ())
    assert document.extra == {"meta": RECORD["meta"], "strange key": 1, "id": "t1"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ({"messages": "nothing"}, "there is no list at `nothing`"),
        ({"messages": "data.turns", "role": "who"}, "message 1: there is no role at `who`"),
        ({"messages": "data.turns", "role": "speaker", "reward": "abs(id)"}, "`abs(id)` cannot be looked up"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(path: dict[str, str], reason: str) -> None:
    (found,) = read(FieldMapping(**path), RECORD)
    assert isinstance(found, Rejected)
    assert found.reason.startswith(reason)


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"'a\[' is no path"):
        FieldMapping(messages="a[")


def test_paths_are_listed_with_what_stands_there() -> None:
    paths = dict(list_paths(RECORD))
    assert paths["meta.who.model"] == "m"
    assert paths['"strange key"'] == 1
