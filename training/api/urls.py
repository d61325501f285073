"""Addresses of the training part of the REST interface, below each project's."""

from __future__ import annotations

from django.urls import include, path

from training.api import evaluations, runs

urlpatterns = [path("projects/<slug:project>/", include([*runs.routes, *evaluations.routes]))]
