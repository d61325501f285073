"""Pairs: the list, searching, judging from the list and in a queue."""

from __future__ import annotations

from django.urls import path

from curation.views import judging, pairs

inside = [
    path("pairs/", pairs.pair_list, name="pair-list"),
    path("pairs/propose/", pairs.pair_propose, name="pair-propose"),
    path("pairs/searches/<int:pk>/stop/", pairs.pair_search_stop, name="pair-search-stop"),
    path("pairs/next/", judging.pair_next, name="pair-next"),
    path("pairs/undo/", judging.pair_undo, name="pair-undo"),
    path("pairs/<int:pk>/", judging.pair_judge, name="pair-judge"),
    path("pairs/<int:pk>/steps/", judging.pair_steps, name="pair-steps"),
    path("queues/<int:pk>/judgements/undo/", judging.queue_judge_undo, name="queue-judge-undo"),
    path("reservations/<int:pk>/pair/", judging.queue_judge, name="queue-judge"),
    path("reservations/<int:pk>/pair/draft/", judging.queue_judge_draft, name="queue-judge-draft"),
]
