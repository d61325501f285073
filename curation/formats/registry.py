"""The formats that can be imported. A new one is a module beside this and an entry in SPECIFIC or GENERAL."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from curation.formats.archives import list_zip
from curation.formats.atif import Atif
from curation.formats.base import Format, FormatError, Head, Layout
from curation.formats.chat import Chat
from curation.formats.claude_code import ClaudeCode
from curation.formats.codex import Codex
from curation.formats.completion import Completion
from curation.formats.containers import ContainerError
from curation.formats.fireact import FireAct
from curation.formats.inspect_log import Inspect
from curation.formats.instruction import Instruction
from curation.formats.langfuse import Langfuse
from curation.formats.langsmith import LangSmith
from curation.formats.mini_swe_agent import MiniSweAgent
from curation.formats.openai_requests import OpenAIRequests
from curation.formats.openhands import OpenHands
from curation.formats.openinference import OpenInference
from curation.formats.otel import OTel
from curation.formats.preference import Preferences
from curation.formats.react import React
from curation.formats.reading import read_head
from curation.formats.sharegpt import ShareGPT
from curation.formats.signatures import describe_content
from curation.formats.swe_agent import SweAgent
from curation.formats.tau2 import Tau2
from curation.formats.tau_bench import TauBench
from curation.formats.whetstone import Whetstone

SPECIFIC: tuple[Format, ...] = (
    Whetstone(),
    Atif(),
    Inspect(),
    MiniSweAgent(),
    Tau2(),
    TauBench(),
    SweAgent(),
    OpenHands(),
    FireAct(),
    OTel(),
    OpenInference(),
    Langfuse(),
    LangSmith(),
    ClaudeCode(),
    Codex(),
    Preferences(),
)
"""Formats known by keys of their own. A file fits one of them at most."""

GENERAL: tuple[Format, ...] = (OpenAIRequests(), ShareGPT(), Chat(), Completion(), Instruction(), React())
"""Formats that much else fits too, tried in this order where no specific one fits."""

FORMATS = SPECIFIC + GENERAL

COMPANIONS = frozenset({"result.json", "report.json", "config.json"})
"""Names of files that are read beside a recording, and are none themselves."""


class UnknownFormatError(FormatError):
    """A file in no known format. `found` says what it is, `layout` how its JSON stands; None where it is no JSON."""

    def __init__(self, filename: str, found: str, layout: Layout | None) -> None:
        super().__init__(f"{filename!r} is in no known format. Found: {found}. Looked for: {looked_for()}.")
        self.found = found
        self.layout = layout


def get_format(name: str) -> Format:
    """The format of that name. Raises FormatError for an unknown one."""
    for known in FORMATS:
        if known.name == name:
            return known
    raise FormatError(f"There is no format {name!r}. Known: {', '.join(known.name for known in FORMATS)}.")


def detect_format(path: Path, filename: str) -> Format:
    """The format of a stored file, by its content alone; `filename` is what the user calls it, for the error.

    Raises FormatError, saying what was looked for and what was found, where none or more than one fits.
    """
    with path.open("rb") as stream:
        return detect_stream(stream, filename)


def detect_stream(stream: BinaryIO, filename: str) -> Format:
    """The same for an open, seekable binary stream."""
    head = _read_head(stream)
    fitting = [known for known in SPECIFIC if known.detect(head)]
    fitting = fitting or [known for known in GENERAL if known.detect(head)][:1]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(known.label for known in fitting)
        raise FormatError(f"{filename!r} fits more than one format: {names}. Choose one.")
    raise UnknownFormatError(filename, _describe(head), head.layout)


def looked_for() -> str:
    """What each format is known by, as one sentence part."""
    return "; ".join(f"{known.label} ({known.looks_for})" for known in FORMATS)


def is_one_recording(stream: BinaryIO) -> bool:
    """Whether a zip is itself a recording of some format, and no archive of files. Raises FormatError."""
    head = _read_head(stream)
    return bool(head.names) and any(known.detect(head) for known in SPECIFIC)


def _read_head(stream: BinaryIO) -> Head:
    try:
        names = list_zip(stream)
    except ContainerError as error:
        raise FormatError(f"The file cannot be read: {error}.") from error
    return replace(read_head(stream), names=names)


def _describe(head: Head) -> str:
    if not head.raw.strip():
        return "an empty file"
    if head.names:
        return f"a zip archive of {len(head.names):,} files"
    if head.layout is None:
        return describe_content(head.raw)
    if head.first is None:
        return "JSON without any object to read in its first records"
    names = ("".join(letter if letter.isprintable() else "\ufffd" for letter in key[:40]) for key in head.first)
    keys = ", ".join(f"`{name}`" for name in islice(names, 12)) or "no keys"
    if head.layout in ("parquet", "csv"):
        return f"a table with the columns {keys}"
    place = {"array": "a JSON list whose first object has", "lines": "JSON lines, the first object with"}
    return f"{place.get(head.layout, 'a JSON object with')} {keys}"
