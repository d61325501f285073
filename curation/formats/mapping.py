"""Records in no known format, read by a mapping that a person made: where their messages, task and outcome stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import BaseModel, ConfigDict, Field, field_validator

from curation.formats.base import Found, Head, ImportContext, RecordError
from curation.formats.chat import read_record
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.messages import ROLES
from curation.formats.reading import parse_records

_ROLE_KEYS = ("role", "from", "speaker", "author", "source", "sender", "type")
_TEXT_KEYS = ("content", "text", "value", "message", "body", "utterance")
_MOST_PATHS = 200
_DEEPEST = 6

Path = str
"""A JMESPath expression: `conversation`, `data.turns`, `meta.scores[0]`."""


class FieldMapping(BaseModel):
    """Where the fields of a trajectory stand in a record; `role` and `content` within one message."""

    model_config = ConfigDict(extra="forbid")

    messages: Path = Field(min_length=1, max_length=300)
    role: Path = Field(default="role", max_length=300)
    content: Path = Field(default="content", max_length=300)
    roles: dict[str, str] = Field(default_factory=dict)
    task_id: Path = Field(default="", max_length=300)
    reward: Path = Field(default="", max_length=300)
    success: Path = Field(default="", max_length=300)
    model: Path = Field(default="", max_length=300)
    tools: Path = Field(default="", max_length=300)
    trial: Path = Field(default="", max_length=300)

    @field_validator("messages", "role", "content", "task_id", "reward", "success", "model", "tools", "trial")
    @classmethod
    def _check_path(cls, path: str) -> str:
        try:
            if path:
                jmespath.compile(path)
        except JMESPathError as error:
            raise ValueError(f"{path!r} is no path: {str(error).splitlines()[0]}") from error
        return path

    @field_validator("roles")
    @classmethod
    def _check_roles(cls, roles: dict[str, str]) -> dict[str, str]:
        if unknown := set(roles.values()) - set(ROLES):
            raise ValueError(f"{sorted(unknown)[0]!r} is no role; there are {', '.join(ROLES)}")
        return roles


class MappedFormat:
    """Records read by a mapping. It is never found by content: a person chooses it."""

    name = "mapping"
    label = "Fields named by hand"
    looks_for = "records with the fields of a mapping"

    def __init__(self, mapping: FieldMapping) -> None:
        self._mapping = mapping

    def detect(self, head: Head) -> bool:
        return False

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        return parse_records(stream, partial(self._read, context=context))

    def _read(self, record: Record, *, context: ImportContext) -> tuple[Document, list[str]]:
        mapping = self._mapping
        messages = find_value(mapping.messages, record.value)
        if not isinstance(messages, list) or not messages:
            raise RecordError(f"there is no list at `{mapping.messages}`")
        taken = {
            "tools": find_value(mapping.tools, record.value),
            "task_id": find_value(mapping.task_id, record.value),
            "reward": find_value(mapping.reward, record.value),
            "success": find_value(mapping.success, record.value),
            "model": find_value(mapping.model, record.value),
            "trial": find_value(mapping.trial, record.value),
        }
        value = {key: item for key, item in taken.items() if item is not None}
        value["messages"] = [self._read_message(number, message) for number, message in enumerate(messages, start=1)]
        top = mapping.messages.partition(".")[0]
        kept = {key: item for key, item in record.value.items() if key != top and key not in value}
        return read_record(Record(record.index, kept | value, record.raw), context=context, format=self.name)

    def _read_message(self, number: int, message: Any) -> Any:
        if not isinstance(message, Mapping):
            raise RecordError(f"message {number}: it is not an object")
        role = find_value(self._mapping.role, message)
        if not isinstance(role, str):
            raise RecordError(f"message {number}: there is no role at `{self._mapping.role}`")
        read = {key: item for key, item in message.items() if key not in (self._mapping.role, self._mapping.content)}
        content = find_value(self._mapping.content, message)
        return read | {"role": self._mapping.roles.get(role, role), "content": content}


def find_value(path: Path, value: Any) -> Any:
    """What stands at a path; None for nothing, and for an empty path. Raises RecordError for an odd one."""
    try:
        return jmespath.search(path, value) if path else None
    except (JMESPathError, RecursionError) as error:
        raise RecordError(f"`{path}` cannot be looked up: {str(error).splitlines()[0]}") from error


def list_paths(value: Mapping[str, Any]) -> list[tuple[Path, Any]]:
    """Every path of a record to a value, with that value, the outermost first; lists are shown by their first item."""
    paths: list[tuple[Path, Any]] = []
    level: list[tuple[Path, Any, int]] = [("", value, 0)]
    while level and len(paths) < _MOST_PATHS:
        prefix, item, depth = level.pop(0)
        if prefix:
            paths.append((prefix, item))
        if isinstance(item, Mapping) and depth < _DEEPEST:
            for key, inner in item.items():
                name = key if key.isidentifier() and key.isascii() else '"' + key.replace('"', '\\"') + '"'
                level.append((f"{prefix}.{name}".lstrip("."), inner, depth + 1))
    return paths


def suggest_mapping(value: Mapping[str, Any]) -> FieldMapping | None:
    """A mapping that may fit a record: its first list of objects with a role and a text; None where there is none."""
    paths = list_paths(value)
    for path, item in paths:
        if not isinstance(item, list) or not item or not isinstance(item[0], Mapping):
            continue
        role = next((key for key in _ROLE_KEYS if isinstance(item[0].get(key), str)), None)
        content = next((key for key in _TEXT_KEYS if key != role and key in item[0]), None)
        if role and content:
            names = {path.rpartition(".")[2]: path for path, _ in reversed(paths)}
            said = [message.get(role) for message in item if isinstance(message, Mapping)]
            return FieldMapping(
                messages=path,
                role=role,
                content=content,
                roles={name: _guess_role(name) for name in said if isinstance(name, str) and name.lower() not in ROLES},
                task_id=_first(names, "task_id", "instance_id", "id"),
                reward=_first(names, "reward", "score"),
                success=_first(names, "success", "resolved", "passed"),
                model=_first(names, "model", "model_name"),
                tools=_first(names, "tools", "functions"),
                trial=_first(names, "trial", "epoch"),
            )
    return None


def _first(names: Mapping[str, Path], *wanted: str) -> Path:
    return next((names[name] for name in wanted if name in names), "")


def _guess_role(name: str) -> str:
    low = name.lower()
    if any(word in low for word in ("bot", "ai", "agent", "gpt", "model")):
        return "assistant"
    if any(word in low for word in ("tool", "observation", "env", "function")):
        return "tool"
    return "system" if "system" in low else "user"
