"""Making projects and choosing who works in them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from curation.models import Membership, Project, QueueItem, Role, User
from curation.permissions import Access
from curation.services.audit import record_action


def create_project(user: User, *, name: str, guidelines: str = "", success_threshold: float = 1.0) -> Project:
    """A new project in which its maker holds every role. Its slug is free: the name's, with a number where taken."""
    stem = slugify(name)[:50] or "project"
    for number in range(1, 1000):
        slug = stem if number == 1 else f"{stem}-{number}"
        try:
            with transaction.atomic():
                project = Project.objects.create(
                    name=name, slug=slug, guidelines=guidelines, success_threshold=success_threshold
                )
                Membership.objects.create(project=project, user=user, roles=list(Role.values))
                access = Access(user=user, project=project, roles=frozenset(Role.values), address=None)
                record_action(access, "project.create", project)
            return project
        except IntegrityError:
            continue
    raise ValueError(f"There are a thousand projects named {name!r} already.")


def save_member(access: Access, *, username: str, roles: Iterable[str]) -> tuple[Membership, str | None]:
    """Add a member or change a member's roles; the second value is the first password of a newly made account.

    Raises ValueError where the change would leave the project without an owner.
    """
    wanted = sorted(set(roles))
    with transaction.atomic():
        owners = set(
            Membership.objects.select_for_update()
            .filter(project=access.project, roles__contains=[Role.OWNER])
            .values_list("user__username", flat=True)
        )
        if owners == {username} and Role.OWNER not in wanted:
            raise ValueError("A project needs an owner; make somebody else one first.")
        user = User.objects.filter(username=username).first()
        password = None
        if user is None:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(username=username, password=password)
        membership, _ = Membership.objects.update_or_create(
            project=access.project, user=user, defaults={"roles": wanted}
        )
        record_action(access, "member.save", username, roles=wanted)
    return membership, password


def remove_member(access: Access, membership: Membership) -> None:
    """What was assigned to them is everybody's again. Raises ValueError for the last owner."""
    with transaction.atomic():
        owners = Membership.objects.select_for_update().filter(project=access.project, roles__contains=[Role.OWNER])
        if {owner.pk for owner in owners} == {membership.pk}:
            raise ValueError("A project needs an owner; make somebody else one first.")
        QueueItem.objects.filter(queue__project=access.project, assignee=membership.user).update(assignee=None)
        record_action(access, "member.remove", membership.user)
        membership.delete()
