"""What an upload would become: its first records read as an import reads them, for a few seconds at most."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from curation.formats.base import FormatError, ImportContext, ParsedPair, Rejected
from curation.formats.document import Document
from curation.formats.mapping import FieldMapping, list_paths, suggest_mapping
from curation.formats.reading import read_first
from curation.formats.redaction import Redactor
from curation.formats.registry import get_format
from curation.formats.sources import LeftOut, Source
from curation.services.import_batches import judge_outcome
from curation.services.import_runs import REPEATED
from curation.services.imports import ImportOptions, find_chosen

SHOWN = 3
MOST_RECORDS = 300
MOST_OF_EACH = 10
"""Records of each file in an archive or a folder."""

MOST_SECONDS = 2.0
STEPS_SHOWN = 8
MOST_REJECTIONS = 5


@dataclass
class Preview:
    """What was read. `complete`: that is all there is; `problem`: why nothing could be read.

    `shown` are the first records; of an archive or a folder, the first of each of the first files.
    """

    formats: Counter[str] = field(default_factory=Counter)
    records: int = 0
    pairs: int = 0
    complete: bool = False
    problem: str = ""
    looked_for: str = ""
    files: int = 0
    tasks: set[tuple[str, str]] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    redactions: Counter[str] = field(default_factory=Counter)
    rejections: list[tuple[str, Rejected]] = field(default_factory=list)
    rejected: int = 0
    shown: list[dict[str, Any]] = field(default_factory=list)

    @property
    def format_labels(self) -> list[str]:
        """The formats that were found, the most frequent first."""
        labels = {
            name: get_format(name).label if name != "mapping" else "fields named by hand" for name in self.formats
        }
        return [labels[name] for name, _ in self.formats.most_common()]


def preview_source(opened: BinaryIO | Path, *, name: str, options: ImportOptions, threshold: float) -> Preview:
    """Read the first records. Never raises for what the file holds."""
    preview = Preview()
    redactor = Redactor(options.redact) if options.redact else None
    begun = time.monotonic()
    try:
        chosen = find_chosen(options.format, options.mapping)
        source = Source(opened, ImportContext(filename=name, model=options.model or None), chosen=chosen)
        preview.files = len(source.names)
        for located in source.read(most_of_each=MOST_OF_EACH):
            found = located.found
            if isinstance(found, LeftOut):
                preview.warnings["a file that holds no records was left out"] += 1
            elif isinstance(found, Rejected):
                preview.rejected += 1
                if len(preview.rejections) < MOST_REJECTIONS:
                    preview.rejections.append((located.member, found))
            else:
                preview.formats[located.format] += 1
                preview.records += 1
                preview.warnings.update(REPEATED.sub("", text) for text in found.warnings)
                preview.pairs += isinstance(found, ParsedPair)
                for document in [found.chosen, found.rejected] if isinstance(found, ParsedPair) else [found.document]:
                    _take(preview, document, located.member, redactor, threshold)
            if preview.records + preview.rejected >= MOST_RECORDS or time.monotonic() - begun > MOST_SECONDS:
                return preview
    except (FormatError, ValueError) as error:
        preview.problem, _, preview.looked_for = str(error).partition(" Looked for: ")
    preview.complete = not preview.files
    return preview


def suggest(opened: BinaryIO | Path) -> tuple[FieldMapping | None, list[tuple[str, str]]]:
    """(a mapping that may fit, paths to choose from, each with a glimpse of what stands there), of the first record."""
    first = {} if isinstance(opened, Path) else read_first(opened)
    return suggest_mapping(first), [(path, str(value)[:60]) for path, value in list_paths(first)]


def _take(preview: Preview, document: Document, member: str, redactor: Redactor | None, threshold: float) -> None:
    if redactor:
        document, counts = redactor.redact(document)
        preview.redactions += counts
    preview.tasks.add((document.task.id, document.task.fingerprint))
    success = judge_outcome(document, threshold)
    crashed = document.outcome.status == "crashed"
    preview.outcomes[
        "crashed" if crashed else "unknown" if success is None else "success" if success else "failure"
    ] += 1
    if len(preview.shown) < SHOWN and (not member or all(one["member"] != member for one in preview.shown)):
        steps = document.model_dump(mode="json")["steps"]
        preview.shown.append(
            {
                "member": member,
                "task": document.task.id,
                "model": document.agent.model_name or "",
                "reward": document.outcome.reward,
                "success": success,
                "steps": steps[:STEPS_SHOWN],
                "more": max(0, len(steps) - STEPS_SHOWN),
            }
        )
