"""What the length limit takes, by row and by band."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.rows import make_dpo_row, make_messages, make_sft_row
from training.engine.encode import Encoder
from training.engine.failures import EngineError
from training.engine.tokenise import NO_TURN, NOTHING_LEFT, TOO_LONG, Tokenised, check_rows, tokenise_rows
from training.recipes import TooLong
from training.run_dir import BandTokens, DPORow, SFTRow


def tokenise(encoder: Encoder, rows: list[dict[str, Any]], *, limit: int, too_long: TooLong) -> Tokenised:
    typed: list[SFTRow | DPORow] = [
        DPORow.model_validate(row) if "pair" in row else SFTRow.model_validate(row) for row in rows
    ]
    return tokenise_rows(encoder, typed, limit=limit, too_long=too_long, check=lambda: None)


def make_long_row(number: int) -> dict[str, Any]:
    """A hard trajectory: the same, then five more turns."""
    more = [
        message
        for turn in range(5)
        for message in (
            {"role": "user", "content": f"and d{turn}, please?"},
            {"role": "assistant", "content": f"There are {turn}."},
        )
    ]
    return make_sft_row(number, band=5, messages=make_messages(number) + more)


def test_a_cut_is_counted_by_row_and_band(encoder: Encoder) -> None:
    short = make_sft_row(1, band=1)
    limit = len(encoder.encode(short["messages"], tools=short["tools"]).ids)
    whole = encoder.encode(make_long_row(2)["messages"], tools=short["tools"])
    rows = tokenise(encoder, [short, make_long_row(2)], limit=limit, too_long="keep_start")
    easy, hard = rows.report.rows
    assert (easy.trajectory, easy.state, easy.kept) == (1, "kept", easy.supervised)
    assert (hard.trajectory, hard.state) == (2, "truncated")
    assert hard.supervised == whole.supervised
    assert hard.kept == whole.cut(limit).supervised == rows.kept[1].sides[0].supervised < hard.supervised
    assert len(rows.kept[1].sides[0].ids) == limit
    assert rows.report.bands == {
        "1": BandTokens(rows=1, kept=1, supervised=easy.supervised, kept_tokens=easy.supervised),
        "5": BandTokens(rows=1, truncated=1, supervised=hard.supervised, kept_tokens=hard.kept),
    }
    assert rows.report.totals.rows == 2
    check_rows(rows, too_long="keep_start", context=4096)


def test_long_rows_are_dropped_with_the_reason(encoder: Encoder) -> None:
    rows = tokenise(encoder, [make_sft_row(1, band=None), make_long_row(2)], limit=500, too_long="drop")
    assert [row.reason for row in rows.report.rows] == [None, TOO_LONG]
    assert rows.report.bands["5"].dropped == 1
    assert rows.report.bands["none"].kept == 1
    assert len(rows.kept) == 1


def test_refusing_says_how_many_are_too_long_and_which_length_is_enough(encoder: Encoder) -> None:
    longest = len(encoder.encode(make_long_row(2)["messages"], tools=make_long_row(2)["tools"]).ids)
    rows = tokenise(encoder, [make_sft_row(1), make_long_row(2)], limit=500, too_long="refuse")
    with pytest.raises(EngineError, match=rf"1 of 2 rows .* 500 tokens; the longest has {longest}") as caught:
        check_rows(rows, too_long="refuse", context=4096)
    assert f"Raise the longest row to {longest}" in caught.value.advice
    with pytest.raises(EngineError) as caught:
        check_rows(rows, too_long="refuse", context=500)
    assert "at most 500" in caught.value.advice
    check_rows(tokenise(encoder, [make_long_row(2)], limit=longest, too_long="refuse"), too_long="refuse", context=4096)


def test_when_every_row_is_dropped_the_reasons_are_told(encoder: Encoder) -> None:
    silent = make_sft_row(3, messages=[{"role": "user", "content": "u"}])
    rows = tokenise(encoder, [make_sft_row(1), make_sft_row(2), silent], limit=20, too_long="keep_start")
    assert [row.reason for row in rows.report.rows] == [NOTHING_LEFT, NOTHING_LEFT, NO_TURN]
    with pytest.raises(EngineError, match=r"Every one of the 3 training rows was dropped .*2 x the length limit"):
        check_rows(rows, too_long="keep_start", context=4096)


@pytest.mark.parametrize(("rows", "cause"), [([], "no training rows"), ([make_sft_row(1, weight=0)], "weight 0")])
def test_nothing_to_train_on_is_an_error(encoder: Encoder, rows: list[dict[str, Any]], cause: str) -> None:
    with pytest.raises(EngineError, match=cause):
        check_rows(tokenise(encoder, rows, limit=1000, too_long="refuse"), too_long="refuse", context=4096)


def test_a_pair_with_a_side_that_has_nothing_to_learn_from_is_dropped(encoder: Encoder) -> None:
    copied = [{**message, "trainable": False} for message in make_dpo_row(2)["chosen"]]
    rows = tokenise(encoder, [make_dpo_row(1), make_dpo_row(2, chosen=copied)], limit=2000, too_long="refuse")
    assert [(row.pair, row.state, row.reason) for row in rows.report.rows] == [
        (1, "kept", None),
        (2, "dropped", NO_TURN),
    ]
    assert rows.report.rows[0].supervised == sum(side.supervised for side in rows.kept[0].sides)


def test_a_row_the_template_refuses_is_dropped_and_the_others_are_kept(encoder: Encoder) -> None:
    rows = tokenise(encoder, [make_sft_row(1), make_sft_row(2, tools="{")], limit=2000, too_long="refuse")
    assert [row.state for row in rows.report.rows] == ["kept", "dropped"]
    assert "tools" in (rows.report.rows[1].reason or "")
