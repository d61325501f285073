"""The training rows of a run directory as tokens, and the account of what the length limit took from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.engine.encode import Encoded, Encoder, RowRefused
from training.engine.failures import EngineError
from training.recipes import TooLong
from training.run_dir import (
    NO_BAND,
    BandTokens,
    DPORow,
    RowState,
    RowTokens,
    SFTRow,
    TokenReport,
)

NO_TURN = "none of the agent's turns is to be trained on"
NOTHING_LEFT = "the length limit leaves none of the agent's tokens"
TOO_LONG = "too long"


@dataclass(frozen=True)
class TrainingRow:
    """What is trained on: one side for SFT, (chosen, rejected) for a pair."""

    sides: tuple[Encoded, ...]
    weight: float


class Account:
    """Counts supervised tokens by row and band while rows pass."""

    def __init__(self, limit: int) -> None:
        self._report = TokenReport(max_length=limit, rows=[], bands={}, totals=BandTokens())

    def add(self, row: SFTRow | DPORow, *, supervised: int, kept: int, state: RowState, reason: str | None) -> None:
        self._report.rows.append(
            RowTokens(
                trajectory=row.trajectory if isinstance(row, SFTRow) else None,
                pair=row.pair if isinstance(row, DPORow) else None,
                band=row.band,
                supervised=supervised,
                kept=kept,
                state=state,
                reason=reason,
            )
        )
        band = self._report.bands.setdefault(band_key(row.band), BandTokens())
        for sums in (band, self._report.totals):
            sums.rows += 1
            setattr(sums, state, getattr(sums, state) + 1)
            sums.supervised += supervised
            sums.kept_tokens += kept

    def report(self) -> TokenReport:
        self._report.bands = dict(sorted(self._report.bands.items()))
        return self._report


def band_key(band: int | None) -> str:
    return NO_BAND if band is None else str(band)


def encode_row(encoder: Encoder, row: SFTRow | DPORow) -> tuple[Encoded, ...]:
    """The sides of a row. In a pair only what follows the shared prompt bears loss. Raises RowRefused."""
    if isinstance(row, SFTRow):
        return (encoder.encode(row.messages, tools=row.tools),)
    context = len(row.prompt)
    return tuple(
        encoder.encode([*row.prompt, *side], tools=row.tools, context=context) for side in (row.chosen, row.rejected)
    )


@dataclass(frozen=True)
class Tokenised:
    """The rows to train on, the account, how many rows are over the limit, and the longest row in tokens."""

    kept: list[TrainingRow]
    report: TokenReport
    over: int
    longest: int


def tokenise_rows(
    encoder: Encoder, rows: list[SFTRow | DPORow], *, limit: int, too_long: TooLong, check: Callable[[], None]
) -> Tokenised:
    """Tokenise the training rows under the length rule; `check` is called between rows and may raise.

    A side without a token to learn from drops its row.
    """
    account = Account(limit)
    kept: list[TrainingRow] = []
    longest, over = 0, 0
    for row in rows:
        check()
        try:
            sides = encode_row(encoder, row)
        except RowRefused as error:
            account.add(row, supervised=0, kept=0, state="dropped", reason=str(error))
            continue
        supervised = sum(side.supervised for side in sides)
        length = max(len(side.ids) for side in sides)
        longest, over = max(longest, length), over + (length > limit)
        reason = _find_reason_to_drop(sides, limit, too_long)
        if reason is not None:
            account.add(row, supervised=supervised, kept=0, state="dropped", reason=reason)
            continue
        sides = tuple(side.cut(limit) for side in sides)
        left = sum(side.supervised for side in sides)
        state: RowState = "truncated" if length > limit else "kept"
        account.add(row, supervised=supervised, kept=left, state=state, reason=None)
        kept.append(TrainingRow(sides, row.weight))
    return Tokenised(kept, account.report(), over, longest)


def _find_reason_to_drop(sides: tuple[Encoded, ...], limit: int, too_long: TooLong) -> str | None:
    if any(side.supervised == 0 for side in sides):
        return NO_TURN
    if too_long != "keep_start" and any(len(side.ids) > limit for side in sides):
        return TOO_LONG
    if any(side.cut(limit).supervised == 0 for side in sides):
        return NOTHING_LEFT
    return None


def check_rows(rows: Tokenised, *, too_long: TooLong, context: int) -> None:
    """Raises EngineError when rows are too long and that is to be refused, or when nothing is left to train on.

    `context` is the most tokens that the model takes: no limit above it can be advised.
    """
    report = rows.report
    limit = report.max_length
    if rows.over and too_long == "refuse":
        remedy = f"Raise the longest row to {rows.longest}, or choose"
        if rows.longest > context:
            remedy = f"The model takes at most {context}: choose"
        raise EngineError(
            f"{rows.over} of {len(report.rows)} rows are longer than {limit} tokens; the longest has {rows.longest}.",
            f"{remedy} to drop or to cut what is too long.",
        )
    if any(row.weight > 0 for row in rows.kept):
        return
    if not report.rows:
        raise EngineError("There are no training rows.", "Choose a dataset that has rows.")
    if rows.kept:
        raise EngineError("Every training row has the weight 0.", "Give some rows a weight.")
    reasons: dict[str, int] = {}
    for row in report.rows:
        reasons[row.reason or ""] = reasons.get(row.reason or "", 0) + 1
    words = "; ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1]))
    raise EngineError(
        f"Every one of the {len(report.rows)} training rows was dropped (limit {limit} tokens): {words}.",
        "Raise the longest row, or check what the rows hold.",
    )
