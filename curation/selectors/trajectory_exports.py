"""Trajectories as other tools read them: the newest revision of each, one JSON object on each line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from django.db import connection
from django.db.models import F, QuerySet

from curation.formats.atif import document_to_atif
from curation.formats.document import Document
from curation.formats.messages import document_to_messages
from curation.formats.sharegpt import document_to_sharegpt
from curation.models import Revision, Trajectory

BLOCK = 256 * 1024
"""Lines go out in blocks of at least so many bytes: a web server passes on each one by itself."""

COPY = "COPY (SELECT convert_to(document::text, 'UTF8') FROM ({} OFFSET 0) AS heads) TO STDOUT (FORMAT binary)"
"""OFFSET 0 keeps what is sorted narrow: the documents are fetched row by row, once they are in order."""


def _write_openai(document: Document) -> dict[str, Any]:
    """A record of messages and tools; what is not trained on has weight 0, as OpenAI's fine-tuning wants it."""
    messages = document_to_messages(document)
    for message in messages:
        if message.pop("trainable", True) is False:
            message["weight"] = 0
    tools = document.agent.tool_definitions
    return {"messages": messages} | ({"tools": tools} if tools else {})


def _by(write: Callable[[Document], dict[str, Any]]) -> Callable[[bytes], bytes]:
    return lambda text: orjson.dumps(write(Document.model_validate(orjson.loads(text))))


WRITERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "atif": ("ATIF", _by(document_to_atif)),
    "openai": ("OpenAI messages", _by(_write_openai)),
    "sharegpt": ("ShareGPT", _by(document_to_sharegpt)),
    "whetstone": ("Whetstone documents, with task and outcome", bytes),  # as they are stored
}
"""The formats that trajectories go out in: name to label, and what makes a line of a stored document's text."""


def stream_trajectories(chosen: QuerySet[Trajectory], format: str) -> Iterator[bytes]:
    """Blocks of JSON lines of the chosen trajectories by number. Raises ValueError for an unknown format, at once."""
    if format not in WRITERS:
        raise ValueError(f"There is no export format {format!r}. Known: {', '.join(WRITERS)}.")
    return _join(map(WRITERS[format][1], _read_documents(chosen)))


def _read_documents(chosen: QuerySet[Trajectory]) -> Iterator[bytes]:
    """The text of each document. By COPY, which sends rows as they are found: a cursor outside of a transaction
    would put all of them aside first."""
    heads = Revision.objects.filter(trajectory__in=chosen.order_by().values("pk"), number=F("trajectory__head_number"))
    query, parameters = heads.order_by("trajectory_id").values_list("document").query.sql_with_params()
    with connection.cursor() as cursor, cursor.cursor.copy(COPY.format(query), parameters) as copy:
        copy.set_types(["bytea"])
        for (text,) in copy.rows():
            yield text


def _join(lines: Iterator[bytes]) -> Iterator[bytes]:
    block: list[bytes] = []
    size = 0
    for line in lines:
        block += line, b"\n"
        size += len(line) + 1
        if size >= BLOCK:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)
