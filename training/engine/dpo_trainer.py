"""TRL's DPO trainer with loss on the agent's own turns only, and a weight for every pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import pad

from training.engine.guard import FiniteLossMixin
from training.engine.tokenise import TrainingRow

COLUMNS = ("chosen_mask", "rejected_mask", "pair_weight")


@dataclass
class AgentTurnsCollator(DataCollatorForPreference):  # type: ignore[misc]  # TRL is untyped here
    """Whole conversations, and in `completion_mask` the agent's turns instead of all that follows the prompt."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call([{**example, "prompt_ids": []} for example in examples])
        masks = [example[side] for side in ("chosen_mask", "rejected_mask") for example in examples]
        batch["completion_mask"] = pad(
            [torch.tensor(mask, dtype=torch.long) for mask in masks], padding_value=0, padding_side="right"
        )
        batch["pair_weight"] = torch.tensor([example["pair_weight"] for example in examples], dtype=torch.float32)
        return batch


class AgentTurnsDPOTrainer(FiniteLossMixin, DPOTrainer):  # type: ignore[misc]  # TRL is untyped here
    """Takes pairs that are tokenised already. Weights other than 1 need batches of one pair.

    `check` is called between batches while the reference is computed, and may raise.
    """

    def __init__(self, *args: Any, check: Callable[[], None], **kwargs: Any) -> None:
        self._check = check
        super().__init__(*args, **kwargs)

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns += [name for name in COLUMNS if name not in self._signature_columns]

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        self._check()
        return super().compute_ref_log_probs(model, {k: v for k, v in inputs.items() if k != "pair_weight"})

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        weights = inputs.pop("pair_weight")
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if weights.numel() > 1:
            return loss
        return loss * weights[0].to(loss)


def build_dpo_dataset(rows: list[TrainingRow]) -> Dataset:
    """Ids and masks of both whole conversations, and `pair_weight`, the weights with mean 1."""
    mean = sum(row.weight for row in rows) / len(rows)
    return Dataset.from_dict(
        {
            "chosen_ids": [row.sides[0].ids for row in rows],
            "rejected_ids": [row.sides[1].ids for row in rows],
            "chosen_mask": [row.sides[0].mask() for row in rows],
            "rejected_mask": [row.sides[1].mask() for row in rows],
            "pair_weight": [row.weight / mean for row in rows],
        }
    )


def have_equal_weights(rows: list[TrainingRow]) -> bool:
    return len({row.weight for row in rows}) <= 1
