"""Trajectories as other tools read them: the newest revision of each, one JSON object on each line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from django.db.models import F, QuerySet

from curation.formats.atif import document_to_atif
from curation.formats.document import Document
from curation.formats.messages import document_to_messages
from curation.formats.sharegpt import document_to_sharegpt
from curation.models import Revision, Trajectory

_AT_ONCE = 50


def _write_openai(document: Document) -> dict[str, Any]:
    """A record of messages and tools; what is not trained on has weight 0, as OpenAI's fine-tuning wants it."""
    messages = document_to_messages(document)
    for message in messages:
        if message.pop("trainable", True) is False:
            message["weight"] = 0
    tools = document.agent.tool_definitions
    return {"messages": messages} | ({"tools": tools} if tools else {})


def _write_own(document: Document) -> dict[str, Any]:
    return document.model_dump(mode="json")


WRITERS: dict[str, tuple[str, Callable[[Document], dict[str, Any]]]] = {
    "atif": ("ATIF", document_to_atif),
    "openai": ("OpenAI messages", _write_openai),
    "sharegpt": ("ShareGPT", document_to_sharegpt),
    "whetstone": ("Whetstone documents, with task and outcome", _write_own),
}
"""The formats that trajectories go out in: name to (label, writer)."""


def stream_trajectories(chosen: QuerySet[Trajectory], format: str) -> Iterator[bytes]:
    """JSON lines of the chosen trajectories by number. Raises ValueError for an unknown format, at once."""
    if format not in WRITERS:
        raise ValueError(f"There is no export format {format!r}. Known: {', '.join(WRITERS)}.")
    write = WRITERS[format][1]
    heads = Revision.objects.filter(trajectory__in=chosen.order_by().values("pk"), number=F("trajectory__head_number"))
    documents = heads.order_by("trajectory_id").values_list("document", flat=True).iterator(_AT_ONCE)
    return (orjson.dumps(write(Document.model_validate(document))) + b"\n" for document in documents)
