"""Queues and the review workbench."""

from __future__ import annotations

from django.urls import path

from curation.views import queues, reviews, rubrics

inside = [
    path("queues/", queues.queue_list, name="queue-list"),
    path("queues/new/", queues.queue_create, name="queue-create"),
    path("queues/<int:pk>/", queues.queue_detail, name="queue-detail"),
    path("queues/<int:pk>/change/", queues.queue_change, name="queue-change"),
    path("queues/<int:pk>/rubric/", rubrics.queue_rubric, name="queue-rubric"),
    path("queues/add/", queues.queue_extend, name="queue-extend"),
    path("queues/<int:pk>/next/", reviews.queue_next, name="queue-next"),
    path("queues/<int:pk>/undo/", reviews.queue_undo, name="queue-undo"),
    path("reservations/<int:pk>/", reviews.queue_review, name="queue-review"),
    path("reservations/<int:pk>/draft/", reviews.review_draft, name="queue-draft"),
    path("reservations/<int:pk>/skip/", reviews.review_skip, name="queue-skip"),
    path("reservations/<int:pk>/defer/", reviews.review_defer, name="queue-defer"),
    path("reservations/<int:pk>/release/", reviews.review_release, name="queue-release"),
]
