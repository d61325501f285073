"""Launch a training run; the training worker does the work."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.http import Http404

from curation.models import JobState
from curation.permissions import get_version
from curation.services.operators import operator_access
from training.jobs import supervise_run
from training.management.waiting import wait_for_end
from training.permissions import get_checkpoint
from training.recipes import PRESETS
from training.services.runs import launch_run, parse_recipe, suggest_name


class Command(BaseCommand):
    help = "Launch a training run on a frozen dataset version; its kind (SFT or DPO) decides the method."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's slug, as in its address")
        parser.add_argument("version", type=int, help="id of a frozen dataset version")
        parser.add_argument("--base", type=int, help="id of the model to start from; without it a tiny one is made")
        parser.add_argument("--name", default="")
        parser.add_argument("--preset", default=PRESETS[0].slug, choices=[preset.slug for preset in PRESETS])
        parser.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="a value of the recipe; may be repeated"
        )
        parser.add_argument("--wait", action="store_true", help="until it has ended; exit code 1 unless it is done")
        parser.add_argument("--json", action="store_true", help="print the result as JSON, and no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            access = operator_access(options["project"])
            version = get_version(access, options["version"])
            method = version.dataset.kind
            run = launch_run(
                access,
                name=options["name"] or suggest_name(access, method),
                method=method,
                version=version,
                base=get_checkpoint(access, options["base"]) if options["base"] is not None else None,
                recipe=parse_recipe(method, read_settings(options["set"]), preset=options["preset"]),
            )
        except (ValueError, Http404) as error:
            raise CommandError(str(error)) from error
        supervise_run.delay_on_commit(run.pk)
        if options["wait"]:
            wait_for_end(run, None if options["json"] else self.stderr)
        report = {"id": run.pk, "name": run.name, "state": run.state, "error": run.error, "advice": run.advice}
        report["checkpoints"] = list(run.checkpoints.order_by("pk").values_list("pk", flat=True))
        words = f"Run {run.pk} ({run.name}) is {run.state}. {run.error} {run.advice}".rstrip()
        self.stdout.write(json.dumps(report) if options["json"] else words)
        if options["wait"] and run.state != JobState.DONE:
            raise SystemExit(1)


def read_settings(settings: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; values are JSON where they can be, else text. Raises ValueError."""
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ValueError(f"{setting!r} is not of the form NAME=VALUE.")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values
