"""The Django application that brings the Celery application along."""

from __future__ import annotations

from django.apps import AppConfig


class WebappConfig(AppConfig):
    name = "webapp"

    def ready(self) -> None:
        # Every process that sends a job needs the application. Imported here and not in the package itself: the
        # supervisor and the database live in this package too, and need neither Celery nor Django's settings.
        import webapp.celery  # noqa: F401
