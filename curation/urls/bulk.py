"""Bulk actions and saved filters."""

from __future__ import annotations

from django.urls import URLPattern, path

from curation.views import bulk, filters

inside: list[URLPattern] = [
    path("bulk/", bulk.bulk_list, name="bulk-list"),
    path("bulk/new/", bulk.bulk_create, name="bulk-create"),
    path("bulk/<int:pk>/", bulk.bulk_detail, name="bulk-detail"),
    path("bulk/<int:pk>/stop/", bulk.bulk_stop, name="bulk-stop"),
    path("bulk/<int:pk>/resume/", bulk.bulk_resume, name="bulk-resume"),
    path("bulk/<int:pk>/undo/", bulk.bulk_undo, name="bulk-undo"),
    path("filters/", filters.filter_list, name="filter-list"),
    path("filters/<int:pk>/rename/", filters.filter_rename, name="filter-rename"),
    path("filters/<int:pk>/remove/", filters.filter_remove, name="filter-remove"),
]
