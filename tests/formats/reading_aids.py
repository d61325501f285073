"""Small files in memory, and what a format makes of them."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

from curation.formats.base import ImportContext, Parsed, ParsedPair, Rejected
from curation.formats.document import Document
from curation.formats.registry import get_format


def parse_bytes(name: str, data: bytes, **context: Any) -> list[Parsed | Rejected]:
    """Everything but pairs that a format gives for a file with these bytes."""
    found = get_format(name).parse(io.BytesIO(data), ImportContext(**context))
    return [item for item in found if not isinstance(item, ParsedPair)]


def parse_value(name: str, value: Any, **context: Any) -> list[Parsed | Rejected]:
    """Everything a format gives for a file that is this JSON value."""
    return parse_bytes(name, json.dumps(value).encode(), **context)


def only_document(results: list[Parsed | Rejected]) -> Document:
    """The document of a file with one good record."""
    (result,) = results
    assert isinstance(result, Parsed), result
    return result.document


def only_reason(results: list[Parsed | Rejected]) -> str:
    """Why the only record of a file was rejected."""
    (result,) = results
    assert isinstance(result, Rejected), result
    return result.reason


def as_lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def chat_record(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "hi"}], **fields}


def pack(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def plain_document(*actions: str) -> dict[str, Any]:
    """The plain form of one of our own documents: a system and a user step, then an agent step for each action."""
    steps: list[dict[str, Any]] = [
        {"step_id": 1, "source": "system", "actor": "environment", "message": [{"type": "text", "text": "You act."}]},
        {"step_id": 2, "source": "user", "actor": "user", "message": [{"type": "text", "text": "Go."}]},
    ]
    return {
        "agent": {"name": "test", "version": "1"},
        "steps": steps + [_plain_step(number, action) for number, action in enumerate(actions, start=3)],
        "source": {"format": "whetstone"},
        "task": {"id": "task-1", "dataset": "tests", "fingerprint": "f" * 64, "instruction": "Go."},
        "trial": {"index": 0},
        "outcome": {"reward": 1.0, "success": True, "status": "completed"},
    }


def _plain_step(number: int, action: str) -> dict[str, Any]:
    return {
        "step_id": number,
        "source": "agent",
        "actor": "assistant",
        "trainable": True,
        "message": [{"type": "text", "text": f"I {action}."}],
        "tool_calls": [
            {
                "tool_call_id": f"{number}.1",
                "function_name": "act",
                "arguments": {"action": action},
                "arguments_raw": json.dumps({"action": action}),
            }
        ],
        "observation": {
            "results": [{"source_call_id": f"{number}.1", "content": [{"type": "text", "text": f"You {action}."}]}]
        },
    }


def make_zip(files: dict[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()
