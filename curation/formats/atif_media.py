"""Media in ATIF: files beside the trajectory on the way in, and the narrow forms that ATIF allows on the way out."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from curation.formats.base import ImportContext
from curation.formats.document import Document, Part
from curation.formats.media import media_parts

_TYPES = {
    "image": ("image/jpeg", "image/png", "image/gif", "image/webp"),
    "audio": (
        "audio/wav", "audio/mpeg", "audio/mp4", "audio/aac", "audio/ogg", "audio/flac", "audio/webm", "audio/aiff",
    ),
}  # fmt: skip
_USUAL = {"image": "image/png", "audio": "audio/wav"}


def attach_media(document: Document, context: ImportContext) -> None:
    """Read the files that parts name, where they stand in the same archive. Raises RecordError for one too large."""
    for part in media_parts(document) if context.members else ():
        source = (part.model_extra or {}).get("source")
        path = source.get("path") if isinstance(source, Mapping) else None
        data = context.read_beside(path) if isinstance(path, str) and "://" not in path else None
        if data is not None and isinstance(source, Mapping):
            part.source = dict(source) | {"data": base64.b64encode(data).decode()}  # type: ignore[attr-defined]  # extra


def write_part(part: Part) -> dict[str, Any]:
    """A part as ATIF has it: text, an image or audio with a path. Anything else becomes text that holds it."""
    plain = part.model_dump(mode="json")
    source = plain.get("source")
    if part.type == "text":
        return {"type": "text", "text": part.text or ""}
    if part.type not in _TYPES or not isinstance(source, dict):
        return {"type": "text", "text": json.dumps(plain, ensure_ascii=False)}
    media_type = source.get("media_type")
    if media_type not in _TYPES[part.type]:
        media_type = _USUAL[part.type]
    path = source.get("path")
    if not path and "blob" in source:
        path = f"media/{source['blob']}"
    if not path:
        path = f"data:{media_type};base64,{source.get('data', '')}"
    kept = {"duration_sec": source["duration_sec"]} if source.get("duration_sec") is not None else {}
    return {"type": part.type, "source": {"media_type": media_type, "path": path, **kept}}
