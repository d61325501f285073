"""ReAct as text: `Thought`, `Action` and `Observation` lines, with or without numbers, as chat messages."""

from __future__ import annotations

import re
from typing import Any

MARK = re.compile(r"^(Thought|Action|Observation)(?: \d+)?:", re.MULTILINE)


def split_react(text: str) -> list[dict[str, Any]]:
    """Messages of a log: what stands before the first mark is the user's, observations are the environment's.

    The marks stay in the text, since they are what the model wrote and read.
    """
    marks = list(MARK.finditer(text))
    starts = [mark.start() for mark in marks] + [len(text)]
    messages: list[dict[str, Any]] = []
    if before := text[: starts[0]].strip():
        messages.append({"role": "user", "content": before})
    for mark, end in zip(marks, starts[1:], strict=True):
        piece = text[mark.start() : end].strip("\n").rstrip()
        role = "tool" if mark[1] == "Observation" else "assistant"
        if role == "assistant" and messages and messages[-1]["role"] == role:
            messages[-1]["content"] += "\n" + piece
        else:
            messages.append({"role": role, "content": piece})
    return messages
