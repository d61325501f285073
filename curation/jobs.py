"""Celery jobs of curation: each one call of a service."""

from __future__ import annotations
