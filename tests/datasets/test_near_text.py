from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from curation.near_text import find_near, list_pieces

words = st.lists(st.sampled_from(["open", "the", "red", "door", "and", "take", "key", "to", "room"]), max_size=12).map(
    " ".join
)


def jaccard(one: str, other: str) -> float:
    mine, theirs = list_pieces(one), list_pieces(other)
    return len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0


@given(texts=st.lists(words, max_size=8), among=st.lists(words, max_size=8), least=st.floats(0.5, 1))
def test_the_nearest_text_is_found_as_comparing_all_with_all_would_find_it(
    texts: list[str], among: list[str], least: float
) -> None:
    found = {
        number: (other, near)
        for number, other, near in find_near(enumerate(texts), dict(enumerate(among)), least=least)
    }
    for number, text in enumerate(texts):
        best = max((jaccard(text, other) for other in among), default=0.0)
        assert (number in found) == (best >= least)
        if number in found:
            assert found[number][1] == best == jaccard(text, among[found[number][0]])


def test_case_and_punctuation_do_not_hide_a_copy() -> None:
    copy = list(find_near([(7, "Book a flight, from Rome to Oslo!")], {3: "book a flight from rome to OSLO"}, least=1))
    assert copy == [(7, 3, 1.0)]
