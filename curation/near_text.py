"""Texts that are nearly the same: the share of three-word pieces that they have in common. Pure.

Exact, and not estimated from a MinHash: the texts of tasks are short, and those that are compared with are few.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import ceil

WORDS = 3
LONGEST = 20_000
"""Characters of a text that are compared: the tasks of agents are told apart by then."""

_WORD = re.compile(r"\w+")


def list_pieces(text: str) -> frozenset[str]:
    """The pieces of three words, whatever the case and punctuation; of a shorter text, the whole."""
    words = _WORD.findall(text[:LONGEST].casefold())
    if len(words) < WORDS:
        return frozenset([" ".join(words)] if words else [])
    return frozenset(" ".join(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1))


def find_near(
    texts: Iterable[tuple[int, str]], among: Mapping[int, str], *, least: float
) -> Iterator[tuple[int, int, float]]:
    """Each of the texts that has one as near as `least` (0..1) among the others: both numbers, and how near.

    The nearest is given. Similarity is the pieces in common through all pieces of both (Jaccard's).
    """
    pieces = {number: list_pieces(text) for number, text in among.items()}
    holders: dict[str, list[int]] = defaultdict(list)
    for number, own in pieces.items():
        for piece in own:
            holders[piece].append(number)
    for number, text in texts:
        mine = list_pieces(text)
        # One that is near enough has all but so many pieces of mine, so it has one of any `few` of them: the rarest.
        few = len(mine) - ceil(least * len(mine) - 1e-9) + 1
        rarest = sorted(mine, key=lambda piece: len(holders.get(piece, ())))[:few]
        others = {other for piece in rarest for other in holders.get(piece, ())}
        found = max(((_compare(mine, pieces[other]), -other) for other in others), default=(0.0, 0))
        if others and found[0] >= least:
            yield number, -found[1], found[0]


def _compare(one: frozenset[str], other: frozenset[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)
