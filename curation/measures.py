"""What is counted in the content of a trajectory."""

from __future__ import annotations
