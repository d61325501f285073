"""Write a frozen dataset version, or one side of it, to a file, with a progress bar."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from curation.models import DatasetVersion, JobState
from curation.models.dataset import Split
from curation.row_files import FORMATS
from curation.services.exports import CARD, TAR, WHOLE, find_export, stream_export


class Command(BaseCommand):
    help = "Write a frozen dataset version, or one side of it, to a new file, or to standard output (-)."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django's own --version gives way: here it is the dataset's.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's slug, as in its address")
        parser.add_argument("dataset", help="the dataset's name")
        parser.add_argument("out", help="the file to write; it must not exist yet. - for standard output")
        parser.add_argument("--version", type=int, help="the version's number; the newest frozen one where left out")
        parser.add_argument(
            "--split",
            choices=[*Split.values, WHOLE, "card"],
            default=Split.TRAIN.value,
            help="one side; all: a tar of both with the card; card: the card alone",
        )
        parser.add_argument("--format", choices=list(FORMATS), default="jsonl")
        parser.add_argument("--json", action="store_true", help="print what was written as JSON, and no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        version = self._find_version(options["project"], options["dataset"], options["version"])
        try:
            export = find_export(version, _name_file(options["split"], options["format"]))
        except (ValueError, FileNotFoundError) as error:
            raise CommandError(str(error)) from error
        blocks = stream_export(export)
        if options["out"] == "-":
            for block in blocks:
                sys.stdout.buffer.write(block)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        console = Console(stderr=True, quiet=options["json"])
        try:
            with Path(options["out"]).open("xb") as file, Progress(*columns, console=console) as progress:
                bar = progress.add_task(export.name, total=export.size)
                for block in blocks:
                    file.write(block)
                    progress.advance(bar, len(block))
        except OSError as error:
            raise CommandError(f"{options['out']}: {error.strerror}") from error
        written = {
            "path": options["out"],
            "dataset": version.dataset.name,
            "version": version.number,
            "split": options["split"],
            "format": options["format"],
            "rows": _count_rows(version, options["split"]),
            "bytes": export.size,
            "sha256": export.sha256,
        }
        said = f"{export.name}, {export.size:,} bytes of {version}, written to {options['out']}"
        self.stdout.write(json.dumps(written) if options["json"] else said)

    def _find_version(self, project: str, dataset: str, number: int | None) -> DatasetVersion:
        versions = DatasetVersion.objects.filter(dataset__project__slug=project, dataset__name=dataset)
        versions = versions.filter(state=JobState.DONE) if number is None else versions.filter(number=number)
        found = versions.select_related("dataset").order_by("-number").first()
        if found is None:
            which = "no frozen version" if number is None else f"no version {number}"
            raise CommandError(f"There is {which} of a dataset {dataset!r} in a project {project!r}.")
        return found


def _name_file(split: str, suffix: str) -> str:
    if split == "card":
        return CARD
    return f"{split}.{suffix}.{TAR}" if split == WHOLE else f"{split}.{suffix}"


def _count_rows(version: DatasetVersion, split: str) -> int:
    sides = Split.values if split == WHOLE else [split]
    return version.rows.filter(split__in=sides).count()
