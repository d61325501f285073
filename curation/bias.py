"""The difficulty bias of a selection: what is measured in it, and against which target."""

from __future__ import annotations
