"""Make the demo project, in which every page has something to show."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from curation.models import User
from training.services.demo import load_demo


class Command(BaseCommand):
    help = "Make a demo project of recorded BabyAI attempts, partly reviewed by a script."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("owner", help="the account that will own it")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = User.objects.filter(username=options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no account {options['owner']!r}.")
        project = load_demo(owner)
        self.stdout.write(f"Demo project: {project} with {project.trajectories.count()} trajectories.")
