"""Addresses of the REST interface below /api/v1/; everything of a project lies below projects/<slug>/."""

from __future__ import annotations

from django.urls import include, path

from curation.api import (
    agreement,
    bulk,
    corrections,
    datasets,
    difficulty,
    filters,
    gold,
    import_records,
    imports,
    judge_runs,
    judgements,
    judges,
    pairs,
    projects,
    queues,
    recipes,
    remarks,
    reservations,
    trajectories,
    version_files,
    versions,
)

urlpatterns = [
    *projects.urlpatterns,
    *version_files.urlpatterns,
    path(
        "projects/<slug:project>/",
        include(
            [
                *projects.routes,
                *import_records.routes,
                *imports.routes,
                *trajectories.routes,
                *filters.routes,
                *bulk.routes,
                *corrections.routes,
                *remarks.routes,
                *queues.routes,
                *agreement.routes,
                *gold.routes,
                *reservations.routes,
                *pairs.routes,
                *judgements.routes,
                *difficulty.routes,
                *judges.routes,
                *judge_runs.routes,
                *recipes.routes,
                *datasets.routes,
                *versions.routes,
                *version_files.routes,
            ]
        ),
    ),
]
