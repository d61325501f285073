"""The audit log: who did what, when, from where."""

from __future__ import annotations

from typing import Any

from curation.models import AuditEntry
from curation.permissions import Access


def record_action(access: Access, action: str, target: object = "", **details: Any) -> None:
    """Append an entry. `action` is noun.verb, such as "run.launch"; details must be JSON and hold no secret."""
    AuditEntry.objects.create(
        project_id=access.project.pk,
        actor_id=access.user.pk,
        actor_name=access.user.get_username(),
        action=action,
        target=str(target)[:200],
        details=details,
        address=access.address,
    )
