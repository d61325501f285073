"""Addresses of the training pages, below each project's."""

from __future__ import annotations

from django.urls import include, path

from training.views import checkpoints, comparison, runs

app_name = "training"
inside = [
    path("runs/", runs.run_list, name="run-list"),
    path("runs/new/", runs.run_create, name="run-create"),
    path("runs/<int:pk>/", runs.run_detail, name="run-detail"),
    path("runs/<int:pk>/progress/", runs.run_progress, name="run-progress"),
    path("runs/<int:pk>/curves/", runs.run_curves, name="run-curves"),
    path("runs/<int:pk>/log/", runs.run_log, name="run-log"),
    path("runs/<int:pk>/stop/", runs.run_stop, name="run-stop"),
    path("runs/<int:pk>/resume/", runs.run_resume, name="run-resume"),
    path("models/", checkpoints.checkpoint_list, name="checkpoint-list"),
    path("models/new/", checkpoints.checkpoint_create, name="checkpoint-create"),
    path("compare/", comparison.compare, name="compare"),
    path("compare/progress/", comparison.compare_progress, name="compare-progress"),
    path("evaluations/new/", comparison.evaluation_create, name="evaluation-create"),
    path("evaluations/<int:pk>/", comparison.evaluation_detail, name="evaluation-detail"),
    path("evaluations/<int:pk>/stop/", comparison.evaluation_stop, name="evaluation-stop"),
]
urlpatterns = [path("p/<slug:project>/", include(inside))]
