"""Whetstone's own documents, one on each line: what recordings and the demo project are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from curation.formats.base import Found, Head, ImportContext
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.reading import parse_records

_OWN_KEYS = {"schema_version", "agent", "steps", "source", "task", "trial", "outcome"}


class Whetstone:
    name = "whetstone"
    label = "Whetstone documents"
    looks_for = "records with `steps`, `source`, `task`, `trial` and `outcome`"

    def detect(self, head: Head) -> bool:
        return is_own(head)

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(_read_document, context=context))


def is_own(head: Head) -> bool:
    return (head.first or {}).keys() >= _OWN_KEYS


def _read_document(record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
    """The document as it is, but for where it was read from: this file. Its own format and version are kept."""
    document = Document.model_validate(record.value)
    member = context.filename if context.members else None
    place = {"file_sha256": context.file_sha256, "member": member, "record_index": record.index}
    agent, task = document.agent, document.task
    return document.model_copy(
        update={
            "source": document.source.model_copy(update=place),
            "agent": agent.model_copy(update={"model_name": agent.model_name or context.model}),
            "task": task.model_copy(update={"dataset": task.dataset or context.dataset}),
        }
    ), []
