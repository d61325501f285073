"""What a run came to: result.json of a training run, evaluation.json of an evaluation. Losses are nats per token."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Preference(_Record):
    """How often the chosen side is more likely than the rejected one, by mean log-probability per agent token.

    `margin` is the mean difference of the two, in nats per token.
    """

    pairs: int = 0
    correct: int = 0
    accuracy: float | None = None
    margin: float | None = None


class PreferenceReport(_Record):
    normalisation: str = "mean log-probability per agent token"
    bands: dict[str, Preference] = {}
    total: Preference = Preference()


class TrainingResult(_Record):
    """result.json: what a finished training run came to. Losses are nats per supervised token."""

    version: Literal[1] = 1
    kind: Literal["sft", "dpo"]
    output: Literal["adapter", "model"]
    base: str  # the model directory an adapter belongs to; "base" where it is the run's own tiny model
    steps: int
    train_rows: int
    eval_rows: int
    train_loss: float | None = None
    eval_loss_before: float | None = None
    eval_loss: float | None = None
    eval_loss_bands: dict[str, float] = {}
    preference_accuracy_before: float | None = None
    preference: PreferenceReport | None = None
    parameters: int
    trainable_parameters: int
    device: str
    seconds: float


class HeldOut(_Record):
    """Teacher-forced scores of the recorded agent turns. An action is a whole turn, end-of-turn token included."""

    rows: int = 0
    truncated: int = 0
    tokens: int = 0
    loss: float | None = None
    token_accuracy: float | None = None
    actions: int = 0
    exact_actions: int = 0
    action_accuracy: float | None = None


class NextAction(_Record):
    """The model's own greedy action next to the recorded one. `step` is the message's index in the row."""

    trajectory: int | None = None
    pair: int | None = None
    revision: int
    step: int
    band: int | None = None
    recorded: str
    generated: str
    exact: bool
    finished: bool  # it ended its turn within the allowed tokens
    prompt_cut: int  # tokens cut from the left of the prompt to fit the model's context


class Evaluation(_Record):
    """evaluation.json: one model over held-out rows."""

    version: Literal[1] = 1
    held_out: HeldOut
    held_out_bands: dict[str, HeldOut]
    preference: PreferenceReport
    next_actions: list[NextAction]
    exact_next_actions: int
    cut_prompts: int
    skipped_rows: int  # rows in which no agent turn was left to score
    device: str
    seconds: float
