"""The difficulty that a project's selections are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from curation.bias import Target, dump_target, read_target
from curation.models import Project, Role
from curation.permissions import Access
from curation.services.audit import record_action


def set_target(access: Access, value: Mapping[str, Any] | Target) -> Target:
    """Set the project's target. Raises TargetError where it does not hold together."""
    access.require(Role.CURATOR)
    target = read_target(value)
    plain = dump_target(target)
    with transaction.atomic():
        Project.objects.filter(pk=access.project.pk).update(target=plain)
        record_action(access, "project.target", access.project, **plain)
    access.project.target = plain
    return target
