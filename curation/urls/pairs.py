"""Pairs: the list, proposing, judging."""

from __future__ import annotations

from django.urls import path

from curation.views import pairs

inside = [
    path("pairs/", pairs.pair_list, name="pair-list"),
    path("pairs/propose/", pairs.pair_propose, name="pair-propose"),
    path("pairs/next/", pairs.pair_next, name="pair-next"),
    path("pairs/<int:pk>/", pairs.pair_judge, name="pair-judge"),
    path("pairs/<int:pk>/steps/", pairs.pair_steps, name="pair-steps"),
]
