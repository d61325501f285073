"""Which steps stand side by side (curation.revisions.alignment)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.revisions.alignment import StepOutline, align_steps

CALLS = st.lists(st.sampled_from(["look", "take", "drop", "say"]), max_size=9)


def outline(*calls: str, first: int = 1) -> list[StepOutline]:
    """One agent's step for each call, "say" being a user's words."""
    return [
        StepOutline(number, "user", (), "", f"I say {number}")
        if call == "say"
        else StepOutline(number, "agent", (call.split()[0],), call, "")
        for number, call in enumerate(calls, start=first)
    ]


def test_the_same_call_further_down_stands_beside_its_partner() -> None:
    rows = align_steps(outline("open a", "open b", "buy"), outline("buy"))
    assert rows == [(1, None), (2, None), (3, 1)]


def test_the_same_tool_with_other_arguments_is_liker_than_another_tool() -> None:
    rows = align_steps(outline("search mugs", "choose blue"), outline("choose red"))
    assert rows == [(1, None), (2, 1)]


def test_steps_that_are_nothing_alike_still_stand_side_by_side_but_not_of_two_speakers() -> None:
    assert align_steps(outline("look"), outline("take")) == [(1, 1)]
    assert sorted(align_steps(outline("look"), outline("say")), key=str) == [(1, None), (None, 1)]
    assert align_steps([], outline("look")) == [(None, 1)]


@given(CALLS, CALLS)
def test_every_step_stands_once_and_in_its_order(one: list[str], other: list[str]) -> None:
    rows = align_steps(outline(*one), outline(*other))
    assert [left for left, _ in rows if left] == list(range(1, len(one) + 1))
    assert [right for _, right in rows if right] == list(range(1, len(other) + 1))
    assert (None, None) not in rows
    mirrored = align_steps(outline(*other), outline(*one))
    assert len(mirrored) == len(rows) or one != other


@pytest.mark.parametrize("words", ["same", "other"])
def test_a_thousand_steps_are_aligned_within_a_second(words: str) -> None:
    ours = outline(*[f"tool{n % 7} {n} a few words of an argument" for n in range(1000)])
    theirs = outline(*[f"tool{n % 5} {n if words == 'same' else -n} more words of it" for n in range(1000)])
    begun = time.monotonic()
    rows = align_steps(ours, theirs)
    assert time.monotonic() - begun < 2
    assert sum(left is not None for left, _ in rows) == 1000
