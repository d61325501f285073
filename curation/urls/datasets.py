from __future__ import annotations

from django.urls import URLPattern

inside: list[URLPattern] = []
