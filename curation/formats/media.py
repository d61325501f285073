"""Images, audio and other media inside content, in the forms that recorders write them, as one kind of part.

A media part has `source`: `{"media_type", "data"}` with base64 text where the recording holds the bytes,
`{"media_type", "path"}` where it only names them, and `{"media_type", "blob"}` once its bytes are stored under that
sha256. `path` is a URL or a file's path, and is kept beside a blob.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from curation.formats.document import Document, Part

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
_KINDS = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "audio_url": "audio",
    "video": "video",
    "video_url": "video",
}


def media_part(kind: str, address: str, *, media_type: str | None = None) -> Part:
    """A part for a `data:` URL, whose bytes it then holds, or for any other address, which it names."""
    if match := _DATA_URL.match(address):
        return Part.model_validate(
            {"type": kind, "source": {"media_type": match[1].lower(), "data": address[match.end() :]}}
        )
    return Part.model_validate({"type": kind, "source": {"media_type": media_type or f"{kind}/*", "path": address}})


def read_media(part: Mapping[str, Any]) -> Part | None:
    """A recorded part that is media, in the one form; None for a part that is something else.

    Reads OpenAI's `image_url`, `input_image` and `input_audio`, Anthropic's and ATIF's `source`, and Inspect's `image`.
    """
    kind = _KINDS.get(str(part.get("type")))
    if kind is None:
        return None
    source = part.get("source")
    if isinstance(source, Mapping):
        return _read_source(kind, source)
    value = part.get(str(part["type"]), part.get("image_url", part.get(f"{kind}_url", part.get(kind))))
    if isinstance(value, Mapping):
        if isinstance(value.get("data"), str):
            form = value.get("format")
            media_type = f"{kind}/{form}" if isinstance(form, str) else f"{kind}/*"
            return Part.model_validate({"type": kind, "source": {"media_type": media_type, "data": value["data"]}})
        value = value.get("url")
    return media_part(kind, value) if isinstance(value, str) and value else None


@dataclass(frozen=True)
class Media:
    """The bytes of one part, under their hash."""

    sha256: str
    media_type: str
    data: bytes


def extract_media(document: Document) -> list[Media]:
    """Take the bytes out of a document's parts: each then names them by their hash. What is not base64 stays."""
    extracted = []
    for part in media_parts(document):
        source = (part.model_extra or {}).get("source")
        if not isinstance(source, Mapping) or not isinstance(source.get("data"), str):
            continue
        try:
            data = base64.b64decode(source["data"])
        except (binascii.Error, ValueError):
            continue
        media = Media(hashlib.sha256(data).hexdigest(), str(source.get("media_type") or ""), data)
        kept = {key: value for key, value in source.items() if key != "data"}
        part.source = kept | {"blob": media.sha256}  # type: ignore[attr-defined]  # a key beyond the declared ones
        extracted.append(media)
    return extracted


def media_parts(document: Document) -> Iterator[Part]:
    """Every part of a document that is not text."""
    for step in document.steps:
        contents = [step.message]
        if step.observation:
            contents += [result.content for result in step.observation.results]
        yield from (part for parts in contents for part in parts if part.type != "text")


def _read_source(kind: str, source: Mapping[str, Any]) -> Part | None:
    media_type = source.get("media_type")
    media_type = media_type if isinstance(media_type, str) else None
    if isinstance(source.get("data"), str):
        data = {"media_type": media_type or f"{kind}/*", "data": source["data"]}
        return Part.model_validate({"type": kind, "source": data})
    address = source.get("path", source.get("url"))
    return media_part(kind, address, media_type=media_type) if isinstance(address, str) and address else None
