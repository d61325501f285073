"""Queues and the review workbench."""

from __future__ import annotations

from django.urls import path

from curation.views import adjudication, agreement, gold, progress, queues, reviews, rubrics

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
    path("queues/<int:pk>/progress/", progress.queue_progress, name="queue-progress"),
    path("queues/<int:pk>/progress.csv", progress.queue_progress_export, name="queue-progress-export"),
    path("queues/<int:pk>/reviews.csv", progress.queue_reviews_export, name="queue-reviews-export"),
    path("queues/<int:pk>/agreement/", agreement.queue_agreement, name="queue-agreement"),
    path("queues/<int:pk>/agreement/items/", agreement.queue_agreement_items, name="queue-agreement-items"),
    path("queues/<int:pk>/disagreements/", adjudication.queue_disagreements, name="queue-disagreements"),
    path("queues/<int:pk>/disagreements/<int:item>/", adjudication.queue_adjudicate, name="queue-adjudicate"),
    path("queues/<int:pk>/disagreements/<int:item>/withdraw/", adjudication.queue_withdraw, name="queue-withdraw"),
    path("queues/<int:pk>/disagreements/<int:item>/gold/", adjudication.queue_reuse, name="queue-reuse"),
    path("queues/<int:pk>/gold/", gold.queue_gold, name="queue-gold"),
    path("queues/<int:pk>/gold/decided/", gold.queue_gold_decided, name="queue-gold-decided"),
    path("queues/<int:pk>/gold/<int:item>/unmark/", gold.queue_unmark, name="queue-unmark"),
]
