"""What a new installation begins with: the first account, and the demo project. A later start only queues what an
older version left to be computed."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from curation.models import Project, User
from curation.services.accounts import first_password_file, make_first_account
from curation.services.difficulty_fits import queue_missing_fits


class Command(BaseCommand):
    help = "Make the first account and the demo project, where there is no account and no project yet."

    def handle(self, *args: Any, **options: Any) -> None:
        made = make_first_account()
        if made is not None:
            self.stdout.write(f"First account: {made[0]}, password {made[1]} (kept in {first_password_file()})")
        if not Project.objects.exists():
            # By name, not by import: the demo is made with the environments, which belong to a higher layer.
            call_command("load_demo", User.objects.earliest("pk").username, stdout=self.stdout)
        queue_missing_fits()  # the sweeper sends them
