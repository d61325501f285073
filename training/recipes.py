"""Hyperparameters of training and evaluation: typed, bounded and described, so that a form can be built from them.

Every field has a `title` (a label) and a `description` (one line); the bounds are pydantic's `ge`, `gt`, `le`.
The meaning of each choice of a `Literal` field is in CHOICES.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["sft", "dpo"]
Adapter = Literal["lora", "full"]
TooLong = Literal["refuse", "drop", "keep_start"]
Weighting = Literal["token", "trajectory"]

CHOICES: dict[str, dict[str, str]] = {
    "adapter": {
        "lora": "LoRA: train a small adapter on top of the frozen model; little memory, a small file.",
        "full": "Full: train every weight; needs several times the model's size in memory.",
    },
    "too_long": {
        "refuse": "Refuse: the run fails before training and says which length would be enough.",
        "drop": "Drop: leave out every row that is too long. Long trajectories are mostly the hard ones.",
        "keep_start": "Cut the end: keep the first tokens of a long row. Its last steps and its answer are lost.",
    },
    "weighting": {
        "token": "Per token: every supervised token counts the same, so long trajectories weigh more.",
        "trajectory": "Per trajectory: every trajectory counts the same, whatever its length.",
    },
}


class _Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TinyModel(_Recipe):
    """A small model with random weights (Qwen3's architecture), for trying the whole loop without any download."""

    hidden_size: int = Field(
        128, ge=32, le=1024, multiple_of=32, title="Hidden size", description="Width of the model, a multiple of 32."
    )
    layers: int = Field(4, ge=1, le=24, title="Layers", description="Number of transformer layers.")
    vocab_size: int = Field(
        4096, ge=512, le=32768, title="Vocabulary", description="Most tokens that its tokenizer may learn."
    )


class _TrainingRecipe(_Recipe):
    """What both training methods share."""

    epochs: float = Field(3.0, gt=0, le=1000, title="Epochs", description="Passes over the training rows.")
    max_steps: int | None = Field(
        None, ge=1, le=10_000_000, title="Updates", description="Stop after so many updates; replaces the epochs."
    )
    learning_rate: float = Field(
        2e-4, gt=0, le=1.0, title="Learning rate", description="Its highest value, after a short warm-up."
    )
    batch_size: int = Field(4, ge=1, le=1024, title="Batch size", description="Rows computed at once on the device.")
    gradient_accumulation: int = Field(
        4, ge=1, le=1024, title="Gradient accumulation", description="Batches summed before each update."
    )
    max_length: int = Field(
        8192, ge=16, le=1_048_576, title="Longest row", description="Tokens a row may have, prompt included."
    )
    too_long: TooLong = Field(
        "refuse", title="Rows that are too long", description="What happens to a row with more tokens than that."
    )
    adapter: Adapter = Field("lora", title="Trained weights", description="A LoRA adapter, or the full model.")
    lora_rank: int = Field(
        16, ge=1, le=512, title="LoRA rank", description="Size of a new adapter; one that is continued keeps its own."
    )
    lora_alpha: int = Field(
        32, ge=1, le=1024, title="LoRA alpha", description="Scale of a new adapter, often twice its rank."
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, title="Seed", description="The same seed and rows give the same run.")
    logging_steps: int = Field(5, ge=1, le=10_000, title="Log every", description="Updates between two logged values.")
    save_steps: int = Field(
        50, ge=1, le=100_000, title="Save every", description="Updates between two checkpoints to resume from."
    )


class SFTRecipe(_TrainingRecipe):
    """Supervised fine-tuning: learn to repeat the agent's own turns."""

    weighting: Weighting = Field(
        "token", title="Weighting", description="Whether tokens or whole trajectories count the same."
    )


class DPORecipe(_TrainingRecipe):
    """Direct preference optimisation: prefer the chosen continuation to the rejected one. Its defaults are gentle."""

    epochs: float = Field(1.0, gt=0, le=1000, title="Epochs", description="Passes over the pairs.")
    learning_rate: float = Field(
        5e-6, gt=0, le=1.0, title="Learning rate", description="Keep it small: high rates destroy the policy."
    )
    beta: float = Field(
        0.1, gt=0, le=10.0, title="Beta", description="How strongly the model is held to where it started."
    )
    sft_weight: float = Field(
        0.0, ge=0, le=10.0, title="SFT term", description="Weight of the chosen side's own loss beside the preference."
    )


class EvaluateRecipe(_Recipe):
    """One model over held-out rows."""

    max_samples: int = Field(
        40, ge=0, le=5000, title="Next actions", description="Held-out steps at which the model writes its own action."
    )
    max_new_tokens: int = Field(
        256, ge=1, le=8192, title="Longest action", description="Tokens the model may write at each of them."
    )
    max_length: int = Field(
        8192, ge=16, le=1_048_576, title="Longest row", description="Tokens of a row that are scored; the rest is cut."
    )


class Preset(_Recipe):
    """A named starting point with concrete values for both methods."""

    slug: str
    name: str
    description: str
    sft: SFTRecipe
    dpo: DPORecipe


PRESETS: tuple[Preset, ...] = (
    Preset(
        slug="quick-look",
        name="Quick look",
        description="Every weight of a tiny model at a high rate: a hundred updates of SFT, ten of DPO; a few "
        "minutes on a laptop. What is too long is cut at its end and counted. Not for a pretrained model.",
        sft=SFTRecipe(
            adapter="full",
            max_steps=100,
            learning_rate=3e-3,
            batch_size=4,
            gradient_accumulation=1,
            max_length=2048,
            too_long="keep_start",
            logging_steps=2,
            save_steps=50,
        ),
        dpo=DPORecipe(
            adapter="full",
            max_steps=10,
            learning_rate=5e-6,
            batch_size=2,
            gradient_accumulation=4,
            max_length=4096,
            too_long="keep_start",
            logging_steps=1,
            save_steps=5,
        ),
    ),
    Preset(
        slug="lora-small",
        name="LoRA, small",
        description="A rank-16 adapter on a pretrained model: fits one GPU, and the file is small. "
        "Learns poorly on a random tiny model.",
        sft=SFTRecipe(adapter="lora", epochs=3, learning_rate=2e-4, batch_size=2, gradient_accumulation=8),
        dpo=DPORecipe(adapter="lora", epochs=1, learning_rate=2e-5, batch_size=2, gradient_accumulation=8),
    ),
    Preset(
        slug="full",
        name="Full fine-tuning",
        description="Every weight of a pretrained model at a low rate: the most memory, the most change.",
        sft=SFTRecipe(adapter="full", epochs=2, learning_rate=1e-5, batch_size=1, gradient_accumulation=16),
        dpo=DPORecipe(
            adapter="full", max_steps=40, learning_rate=5e-6, batch_size=1, gradient_accumulation=16, save_steps=20
        ),
    ),
)
