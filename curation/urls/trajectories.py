"""Trajectories, their steps and their revisions."""

from __future__ import annotations

from django.urls import path

from curation.views import corrections, exports, reading, remarks, trajectories

inside = [
    path("trajectories/", trajectories.trajectory_list, name="trajectory-list"),
    path("trajectories/export/", exports.trajectory_list_export, name="trajectory-list-export"),
    path("trajectories/<int:pk>/export/", exports.trajectory_export, name="trajectory-export"),
    path("media/<str:sha256>/", exports.blob_detail, name="blob-detail"),
    path("trajectories/<int:pk>/", trajectories.trajectory_detail, name="trajectory-detail"),
    path("trajectories/<int:pk>/steps/", reading.trajectory_steps, name="trajectory-steps"),
    path("trajectories/<int:pk>/text/", reading.trajectory_text, name="trajectory-text"),
    path("trajectories/<int:pk>/find/", reading.trajectory_find, name="trajectory-find"),
    path("trajectories/<int:pk>/raw/", reading.trajectory_raw, name="trajectory-raw"),
    path("trajectories/<int:pk>/diff/", trajectories.revision_compare, name="revision-compare"),
    path("trajectories/<int:pk>/diff/<int:older>-<int:newer>/", trajectories.revision_diff, name="revision-diff"),
    path("trajectories/<int:pk>/steps/<int:step_id>/edit/", corrections.step_edit, name="step-edit"),
    path("trajectories/<int:pk>/check/", corrections.step_check, name="step-check"),
    path("trajectories/<int:pk>/remarks/", remarks.remark_list, name="remark-list"),
    path("remarks/<int:pk>/remove/", remarks.remark_remove, name="remark-remove"),
    path("remarks/names/", remarks.remark_names, name="remark-names"),
    path("mentions/", remarks.mention_list, name="mention-list"),
    path("mentions/seen/", remarks.mention_seen, name="mention-seen"),
]
