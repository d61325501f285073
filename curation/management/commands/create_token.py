"""Make an API token for a member of a project, and print it once."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from curation.models import Membership, Role
from curation.permissions import Access
from curation.services.tokens import create_token


class Command(BaseCommand):
    help = "Make an API token. It is printed once; only its digest is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user")
        parser.add_argument("project", help="the project's slug, as in its address")
        parser.add_argument("--name", required=True, help="what the token is for")
        parser.add_argument("--scopes", required=True, nargs="+", choices=Role.values)
        parser.add_argument("--days", type=int, help="how long it works; for ever where this is left out")

    def handle(self, *args: Any, **options: Any) -> None:
        members = Membership.objects.select_related("project", "user")
        member = members.filter(user__username=options["user"], project__slug=options["project"]).first()
        if member is None:
            raise CommandError(f"{options['user']!r} is no member of a project {options['project']!r}.")
        days = options["days"]
        if days is not None and not 1 <= days <= 3650:
            raise CommandError("--days is a number from 1 to 3650.")
        access = Access(user=member.user, project=member.project, roles=frozenset(member.roles), address=None)
        try:
            _, secret = create_token(
                access,
                name=options["name"][:80],
                scopes=options["scopes"],
                expires_at=timezone.now() + timedelta(days=days) if days else None,
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(secret)
