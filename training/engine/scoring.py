"""Held-out measures of one model: loss and accuracy on recorded agent turns, and preference on pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from training.engine.encode import Encoded, Encoder, RowRefused
from training.engine.tokenise import band_key, encode_row
from training.results import HeldOut, Preference, PreferenceReport
from training.run_dir import DPORow, SFTRow


@dataclass
class Score:
    """Sums over the agent's tokens of one conversation; `actions` are whole turns."""

    nll: float = 0.0
    tokens: int = 0
    correct: int = 0
    actions: int = 0
    exact: int = 0


@dataclass
class _Sums:
    rows: int = 0
    truncated: int = 0
    score: Score = field(default_factory=Score)

    def add(self, other: _Sums) -> None:
        self.rows += other.rows
        self.truncated += other.truncated
        for name in ("nll", "tokens", "correct", "actions", "exact"):
            setattr(self.score, name, getattr(self.score, name) + getattr(other.score, name))

    def held_out(self) -> HeldOut:
        score = self.score
        return HeldOut(
            rows=self.rows,
            truncated=self.truncated,
            tokens=score.tokens,
            loss=score.nll / score.tokens if score.tokens else None,
            token_accuracy=score.correct / score.tokens if score.tokens else None,
            actions=score.actions,
            exact_actions=score.exact,
            action_accuracy=score.exact / score.actions if score.actions else None,
        )


@dataclass(frozen=True)
class Measured:
    held_out: HeldOut
    held_out_bands: dict[str, HeldOut]
    preference: PreferenceReport
    skipped_rows: int


def score_conversation(model: Any, encoded: Encoded) -> Score:
    """Teacher-forced score of the supervised turns. The model must have TRL's fused head (see `add_scoring_head`)."""
    import torch

    device = model.device
    ids = torch.tensor(encoded.ids, dtype=torch.long, device=device)[None]
    labels = torch.tensor(encoded.labels(), dtype=torch.long, device=device)[None]
    outputs = model(
        input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels, use_cache=False, fused_lm_head=True
    )
    # position i of these holds token i + 1
    log_probs = outputs.log_probs[0].double().cpu()
    right = outputs.is_top1[0].bool().cpu()
    score = Score(nll=-float(log_probs.sum()))
    for turn in encoded.turns:
        hits = right[max(turn.start - 1, 0) : turn.end - 1]
        score.tokens += hits.numel()
        score.correct += int(hits.sum())
        if turn.whole:
            score.actions += 1
            score.exact += bool(hits.all())
    return score


def add_scoring_head(model: Any) -> None:
    """Per-token log-probabilities without the full logits; the trainers have it already."""
    from trl.trainer.utils import add_fused_lm_head

    core = model.get_base_model() if hasattr(model, "peft_config") else model
    add_fused_lm_head(core, outputs=("log_probs", "is_top1"))


def measure_rows(
    model: Any,
    encoder: Encoder,
    rows: Iterable[SFTRow | DPORow],
    *,
    limit: int,
    bf16: bool,
    check: Callable[[], None],
) -> Measured:
    """Measure held-out rows; `check` is called before each and may raise.

    Loss and accuracy are of the trajectories; where there are only pairs, of their chosen sides. What is longer than
    `limit` is cut at its end. A row without an agent token left is skipped and counted.
    """
    sums: dict[type, dict[str, _Sums]] = {SFTRow: defaultdict(_Sums), DPORow: defaultdict(_Sums)}
    margins: dict[str, list[float]] = defaultdict(list)
    skipped = 0
    with evaluating(model, bf16=bf16):
        for row in rows:
            check()
            try:
                whole = encode_row(encoder, row)
            except RowRefused:
                skipped += 1
                continue
            sides = [side.cut(limit) for side in whole]
            if any(side.supervised == 0 for side in sides):
                skipped += 1
                continue
            scores = [score_conversation(model, side) for side in sides]
            band = band_key(row.band)
            sums[type(row)][band].add(_Sums(1, int(len(whole[0].ids) > limit), scores[0]))
            if len(scores) == 2:
                chosen, rejected = (-score.nll / score.tokens for score in scores)
                margins[band].append(chosen - rejected)
    bands = sums[SFTRow] or sums[DPORow]
    total = _Sums()
    for part in bands.values():
        total.add(part)
    return Measured(
        held_out=total.held_out(),
        held_out_bands={band: part.held_out() for band, part in sorted(bands.items())},
        preference=PreferenceReport(
            bands={band: _sum_margins(values) for band, values in sorted(margins.items())},
            total=_sum_margins([margin for values in margins.values() for margin in values]),
        ),
        skipped_rows=skipped,
    )


def _sum_margins(margins: list[float]) -> Preference:
    if not margins:
        return Preference()
    correct = sum(margin > 0 for margin in margins)
    return Preference(
        pairs=len(margins), correct=correct, accuracy=correct / len(margins), margin=sum(margins) / len(margins)
    )


@contextmanager
def evaluating(model: Any, *, bf16: bool) -> Iterator[None]:
    """Evaluation mode without gradients, in the arithmetic of training."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast("cuda", dtype=torch.bfloat16) if bf16 else nullcontext():
            yield
    finally:
        model.train(was_training)
