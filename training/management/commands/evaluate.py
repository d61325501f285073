"""Measure models on a version's held-out rows; the training worker does the work."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.http import Http404

from curation.models import JobState
from curation.permissions import get_version
from curation.services.operators import operator_access
from training.jobs import supervise_evaluation
from training.management.waiting import wait_for_end
from training.permissions import get_checkpoint
from training.services.evaluations import evaluate_checkpoints


class Command(BaseCommand):
    help = "Measure models on the held-out rows of a dataset version; what was measured already is shown as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's slug, as in its address")
        parser.add_argument("version", type=int, help="id of a frozen dataset version")
        parser.add_argument("checkpoints", type=int, nargs="+", metavar="checkpoint", help="id of a model")
        parser.add_argument("--wait", action="store_true", help="until all have ended; exit code 1 unless all are done")
        parser.add_argument("--json", action="store_true", help="print the results as JSON, and no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            access = operator_access(options["project"])
            version = get_version(access, options["version"])
            checkpoints = [get_checkpoint(access, pk) for pk in dict.fromkeys(options["checkpoints"])]
            evaluations = evaluate_checkpoints(access, checkpoints, version)
        except (ValueError, Http404) as error:
            raise CommandError(str(error)) from error
        for evaluation in evaluations:
            if evaluation.is_active:
                supervise_evaluation.delay_on_commit(evaluation.pk)
        for evaluation in evaluations:
            if options["wait"]:
                wait_for_end(evaluation, None if options["json"] else self.stderr)
        reports = [
            {"id": one.pk, "checkpoint": one.checkpoint_id, "state": one.state}
            | {"error": one.error, "advice": one.advice, "result": one.result}
            for one in evaluations
        ]
        if options["json"]:
            self.stdout.write(json.dumps(reports))
        else:
            for one in evaluations:
                loss = (one.result or {}).get("held_out", {}).get("loss")
                figure = f"held-out loss {loss:.4f}" if loss is not None else one.error
                self.stdout.write(f"{one} is {one.state}. {figure}".rstrip(" ."))
        if options["wait"] and any(one.state != JobState.DONE for one in evaluations):
            raise SystemExit(1)
