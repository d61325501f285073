"""TRL's SFT trainer with a weight for every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from training.engine.guard import FiniteLossMixin
from training.engine.tokenise import TrainingRow
from training.recipes import Weighting


@dataclass
class WeightedCollator(DataCollatorForLanguageModeling):  # type: ignore[misc]  # TRL is untyped here
    """Keeps `loss_weight`, one number a row."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        batch["loss_weight"] = torch.tensor([example["loss_weight"] for example in examples], dtype=torch.float32)
        return batch


class WeightedSFTTrainer(FiniteLossMixin, SFTTrainer):  # type: ignore[misc]  # TRL is untyped here
    """Scales every token's loss by its row's weight.

    An update's loss is divided by its supervised tokens, or by its rows when trajectories count the same: a
    `loss_weight` then holds the row's weight over its supervised tokens.
    """

    def __init__(self, *args: Any, weighting: Weighting, **kwargs: Any) -> None:
        self._weighting = weighting
        super().__init__(*args, **kwargs)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "loss_weight" not in self._signature_columns:
            self._signature_columns.append("loss_weight")

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Any:
        if self._weighting == "trajectory":
            return torch.tensor(sum(len(batch["labels"]) for batch in batch_samples), device=device)
        return super()._get_num_items_in_batch(batch_samples, device)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        weights = inputs.pop("loss_weight")

        def weighted(**kwargs: Any) -> Any:
            outputs = model(**kwargs)
            outputs.log_probs = outputs.log_probs * weights[:, None].to(outputs.log_probs)
            return outputs

        return super().compute_loss(weighted, inputs, return_outputs, num_items_in_batch)


def build_sft_dataset(rows: list[TrainingRow], *, weighting: Weighting) -> Dataset:
    """`input_ids`, `labels` and `loss_weight` (the rows' weights with mean 1, see WeightedSFTTrainer)."""
    mean = sum(row.weight for row in rows) / len(rows)
    weights = [row.weight / mean for row in rows]
    if weighting == "trajectory":
        weights = [weight / row.sides[0].supervised for weight, row in zip(weights, rows, strict=True)]
    return Dataset.from_dict(
        {
            "input_ids": [row.sides[0].ids for row in rows],
            "labels": [row.sides[0].labels() for row in rows],
            "loss_weight": weights,
        }
    )
