"""ReAct as text: `Thought`, `Action` and `Observation` lines, with or without numbers, as chat messages."""

from __future__ import annotations

import re
from typing import Any

MARK = re.compile(r"^(Thought|Action|Observation)(?: \d+)?:", re.MULTILINE)
_ACTION = re.compile(r"[\w .-]{1,100}(?:\[.*\]|\(.*\)|\n+Action Input(?: \d+)?:.*)\.?", re.DOTALL)
_FINAL_ANSWER = re.compile(r"^Final Answer:", re.MULTILINE)


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


def speaks_react(text: str) -> bool:
    """Whether a turn of an agent has both marks at the beginning of a line: `Thought` and `Action`."""
    return "Action" in text and {"Thought", "Action"} <= {mark[1] for mark in MARK.finditer(text)}


def find_action(text: str) -> str | None:
    """What a turn does: the text after its last `Action` mark."""
    marks = [mark for mark in MARK.finditer(text) if mark[1] == "Action"]
    return text[marks[-1].end() :].strip() if marks else None


def ends_in_action(text: str) -> bool:
    """Whether a turn parses as ReAct: thoughts, and then one action that ends it.

    An action is `name[argument]` or `name(argument)`, or a name and `Action Input:` on the next line; a last turn may
    give a `Final Answer:` instead. A turn that writes its own `Observation` does not parse.
    """
    marks = [mark[1] for mark in MARK.finditer(text)]
    if _FINAL_ANSWER.search(text) and "Action" not in marks and "Observation" not in marks:
        return True
    if not marks or marks[-1] != "Action" or marks.count("Action") > 1 or "Observation" in marks:
        return False
    return _ACTION.fullmatch(find_action(text) or "") is not None
