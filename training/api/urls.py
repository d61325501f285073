"""Addresses of the training part of the REST interface, below each project's."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
