"""Addresses of the curation pages; everything of a project lies below /p/<slug>/."""

from __future__ import annotations

from django.urls import include, path

from curation.urls import bulk, datasets, difficulty, imports, judges, pairs, projects, queues, trajectories

app_name = "curation"
urlpatterns = [
    *projects.urlpatterns,
    path(
        "p/<slug:project>/",
        include(
            [
                *projects.inside,
                *imports.inside,
                *trajectories.inside,
                *bulk.inside,
                *queues.inside,
                *pairs.inside,
                *difficulty.inside,
                *judges.inside,
                *datasets.inside,
            ]
        ),
    ),
]
