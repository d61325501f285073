"""Datasets and their versions."""

from __future__ import annotations

from django.urls import path

from curation.views import datasets, recipes, versions

inside = [
    path("datasets/", datasets.dataset_list, name="dataset-list"),
    path("datasets/new/", recipes.dataset_create, name="dataset-create"),
    path("datasets/new/preview/", recipes.dataset_preview, name="dataset-preview"),
    path("datasets/new/left-out/", recipes.dataset_left_out, name="dataset-left-out"),
    path("datasets/new/actions/", recipes.dataset_actions, name="dataset-actions"),
    path("datasets/<int:pk>/", datasets.dataset_detail, name="dataset-detail"),
    path("datasets/<int:pk>/freeze/", datasets.dataset_freeze, name="dataset-freeze"),
    path("datasets/versions/<int:pk>/", versions.version_detail, name="version-detail"),
    path("datasets/versions/<int:pk>/stop/", versions.version_stop, name="version-stop"),
    path("datasets/versions/<int:pk>/retry/", versions.version_retry, name="version-retry"),
    path("datasets/versions/<int:pk>/remove/", versions.version_remove, name="version-remove"),
    path("datasets/versions/<int:pk>/link/", versions.version_link, name="version-link"),
    path("datasets/versions/<int:pk>/left-out/", versions.version_left_out, name="version-left-out"),
    path("datasets/versions/<int:pk>/compare/", versions.version_compare, name="version-compare"),
    path("datasets/versions/<int:pk>/rows/<slug:split>/<int:position>/", versions.version_row, name="version-row"),
]
