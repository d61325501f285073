"""Record the demo set: agents acting in BabyAI levels. The same code records the same file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from training.recording import DEMO_FILE, record_demo


class Command(BaseCommand):
    help = "Record the demo set of trajectories: an expert bot and weakened copies of it in BabyAI levels."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", default=DEMO_FILE, help="where to (default: in its place)")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{record_demo(options['file'])} attempts recorded to {options['file']}.")
