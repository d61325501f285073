"""Datasets and their versions."""

from __future__ import annotations

from django.urls import path

from curation.views import datasets, recipes

inside = [
    path("datasets/", datasets.dataset_list, name="dataset-list"),
    path("datasets/new/", recipes.dataset_create, name="dataset-create"),
    path("datasets/new/preview/", recipes.dataset_preview, name="dataset-preview"),
    path("datasets/new/left-out/", recipes.dataset_left_out, name="dataset-left-out"),
    path("datasets/new/actions/", recipes.dataset_actions, name="dataset-actions"),
    path("datasets/<int:pk>/", datasets.dataset_detail, name="dataset-detail"),
    path("datasets/<int:pk>/freeze/", datasets.dataset_freeze, name="dataset-freeze"),
    path("datasets/versions/<int:pk>/", datasets.version_detail, name="version-detail"),
    path("datasets/versions/<int:pk>/stop/", datasets.version_stop, name="version-stop"),
]
