"""Import a file in the foreground, with a progress bar, and print what became of it."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from curation.formats.redaction import KINDS
from curation.formats.registry import FORMATS
from curation.models import Import, JobState, Trajectory
from curation.permissions import Access
from curation.services.import_runs import run_import
from curation.services.imports import ImportOptions, create_folder_import, create_import
from curation.services.operators import operator_access

REPORT = (
    "id", "state", "format", "imported", "unchanged", "rejected", "pairs", "tasks", "known_tasks", "redactions",
    "warnings", "error", "advice",
)  # fmt: skip


class Command(BaseCommand):
    help = "Import a file, an archive or a folder of trajectories into a project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's slug, as in its address")
        parser.add_argument("file", type=Path, help="a file, an archive, or a folder that imports are allowed from")
        parser.add_argument("--format", default="", choices=[known.name for known in FORMATS])
        parser.add_argument("--model", default="", help="the agent's model, where the file does not say")
        parser.add_argument("--source", default=Trajectory.Source.STRONG_MODEL, choices=Trajectory.Source.values)
        parser.add_argument("--redact", action="append", default=[], choices=list(KINDS), help="may be repeated")
        parser.add_argument("--json", action="store_true", help="print the report as JSON, and no progress bar")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        named = {name: options[name] for name in ("source", "format", "model", "redact")}
        try:
            job = take_in(operator_access(options["project"]), path, ImportOptions(**named))
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            run_import(job.pk)
        else:
            run_with_bar(job)
        job.refresh_from_db()
        self.stdout.write(json.dumps(describe(job)) if options["json"] else render(job))
        if job.state != JobState.DONE:
            raise SystemExit(1)


def take_in(access: Access, path: Path, options: ImportOptions) -> Import:
    """Raises ValueError as create_import does, OSError for a file that cannot be read."""
    if path.is_dir():
        return create_folder_import(access, folder=str(path), options=options)
    with path.open("rb") as stream:
        return create_import(access, file=File(stream), file_name=path.name, options=options)


def run_with_bar(job: Import) -> None:
    """The bar goes to the standard error, so that the report alone is what a pipe gets."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        line = progress.add_task("Importing", total=job.file_size)
        run_import(job.pk, watch=lambda current: progress.update(line, completed=current.progress))


def describe(job: Import) -> dict[str, Any]:
    rejections = job.rejections.order_by("record_index").values("record_index", "reason")[:100]
    return {name: getattr(job, name) for name in REPORT} | {"rejections": list(rejections)}


def render(job: Import) -> str:
    counts = f"{job.imported:,} imported, {job.unchanged:,} unchanged, {job.rejected:,} rejected"
    lines = [f"Import {job.pk} ({job.format}) is {job.state}: {counts}."]
    lines += [f"  warning: {warning['text']} ({warning['count']:,} times)" for warning in job.warnings]
    lines += [f"  record {row.record_index}: {row.reason}" for row in job.rejections.order_by("record_index")[:20]]
    if job.rejected > 20:
        lines.append(f"  … and {job.rejected - 20:,} more; the import's page lists them.")
    lines += [text for text in (job.error, job.advice) if text]
    # A terminal obeys escape sequences, and any of this may quote the file.
    return "\n".join("".join(letter if letter.isprintable() else "\ufffd" for letter in line) for line in lines)
