"""Whoever may run commands on the server."""

from __future__ import annotations

from curation.models import Membership, Project, Role
from curation.permissions import Access


def operator_access(slug: str) -> Access:
    """What a command may do in a project: everything, in the name of its first owner. Raises ValueError."""
    owner = (
        Membership.objects.select_related("project", "user")
        .filter(project__slug=slug, roles__contains=[Role.OWNER])
        .order_by("pk")
        .first()
    )
    if owner is None:
        known = ", ".join(Project.objects.order_by("slug").values_list("slug", flat=True)[:20]) or "none yet"
        raise ValueError(f"There is no project {slug!r}. Projects: {known}.")
    return Access(user=owner.user, project=owner.project, roles=frozenset(Role.values), address=None)
