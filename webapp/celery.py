"""The Celery application: two queues, `default` for curation and `training` for supervising engines."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

app = Celery("whetstone")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["curation", "training"], related_name="jobs")

for folder in settings.CELERY_BROKER_TRANSPORT_OPTIONS.values():
    Path(folder).mkdir(parents=True, exist_ok=True)
