"""Files to import, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from django.core.files.base import File

from curation.models import Import
from curation.permissions import Access
from curation.services.import_runs import run_import
from curation.services.imports import ImportOptions, create_import
from tests.factories import make_document


def make_lines(number: int, *, tasks: int = 5, say: str = "look") -> bytes:
    """Documents as JSON lines, each with another content."""
    return as_lines(
        make_document(f"{say} {index}", key=f"task-{index % tasks}", reward=float(index % 2)) for index in range(number)
    )


def as_lines(documents: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def queue_import(access: Access, content: bytes, *, name: str = "attempts.jsonl", **fields: Any) -> Import:
    key = fields.pop("idempotency_key", "")
    options = ImportOptions(**fields)
    return create_import(access, file=File(BytesIO(content)), file_name=name, options=options, idempotency_key=key)


def import_content(access: Access, content: bytes, **fields: Any) -> Import:
    """Take the content in and read it at once, as a worker would."""
    job = queue_import(access, content, **fields)
    run_import(job.pk)
    job.refresh_from_db()
    return job
