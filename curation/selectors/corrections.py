"""What the form of a correction needs to know of a revision, without its steps."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection

from curation.formats.document import Document
from curation.models import Revision, Trajectory
from curation.revisions import StepDiff, diff_steps


def read_tools(revision: Revision) -> list[Any]:
    """The tool definitions of a revision's agent, as recorded."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT document #> '{agent,tool_definitions}' FROM curation_revision WHERE id = %s", [revision.pk]
        )
        (value,) = cursor.fetchone()
    tools = json.loads(value) if isinstance(value, str) else value
    return tools if isinstance(tools, list) else []


def compare_with_head(trajectory: Trajectory, base: int) -> list[StepDiff]:
    """All steps of revision `base` beside those of the newest one."""
    found = {r.number: r for r in trajectory.revisions.filter(number__in=[base, trajectory.head_number])}
    return diff_steps(
        Document.model_validate(found[base].document),
        Document.model_validate(found[trajectory.head_number].document),
    )


def list_later_revisions(trajectory: Trajectory, base: int) -> list[Revision]:
    """What was corrected since revision `base`, oldest first: who and why, without documents."""
    later = trajectory.revisions.filter(number__gt=base).defer("document").select_related("author")
    return list(later.order_by("number"))
