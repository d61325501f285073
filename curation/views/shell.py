"""The frame around every page: navigation, project switcher, and who is looking."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from curation.permissions import Access
from curation.selectors.remarks import count_unseen


@dataclass(frozen=True)
class Entry:
    """A line of the navigation. `section` is the first word of the URL names of the pages it stands for."""

    label: str
    url_name: str
    section: str
    group: str = ""


ENTRIES = (
    Entry("Review", "curation:queue-list", "queue"),
    Entry("Trajectories", "curation:trajectory-list", "trajectory"),
    Entry("Pairs", "curation:pair-list", "pair"),
    Entry("Mentions", "curation:mention-list", "mention"),
    Entry("Imports", "curation:import-list", "import", "Curate"),
    Entry("Difficulty", "curation:difficulty-report", "difficulty", "Curate"),
    Entry("Judges", "curation:judge-list", "judge", "Curate"),
    Entry("Datasets", "curation:dataset-list", "dataset", "Curate"),
    Entry("Runs", "training:run-list", "run", "Train"),
    Entry("Compare", "training:compare", "compare", "Train"),
    Entry("Settings", "curation:project-settings", "project", "Project"),
)
SECTIONS = {
    "upload": "import",
    "bulk": "trajectory",
    "filter": "trajectory",
    "task": "difficulty",
    "version": "dataset",
}
"""Pages that belong to another section than their URL names say."""


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context for base.html; `access` is set by curation.permissions.access_project."""
    access: Access | None = getattr(request, "access", None)
    if access is None:
        return {"access": None, "navigation": []}
    projects = access.user.projects.order_by("name").values_list("slug", "name")
    return {
        "access": access,
        "project": access.project,
        "projects": projects,
        # Listed and counted where they are drawn: a part of a page does not ask.
        "navigation": partial(_list_entries, request, access.project.slug),
        "count_unseen": partial(count_unseen, access),
    }


def _list_entries(request: HttpRequest, project: str) -> list[dict[str, Any]]:
    match = request.resolver_match
    section = (match.url_name or "").split("-")[0] if match else ""
    section = SECTIONS.get(section, section)
    return [
        {
            "entry": entry,
            "address": reverse(entry.url_name, args=[project]),
            "current": entry.section == section,
        }
        for entry in ENTRIES
    ]
