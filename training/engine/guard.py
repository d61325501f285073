"""What both trainers share: a loss that is no number stops the run at once."""

from __future__ import annotations

from typing import Any

import torch

from training.engine.failures import refuse_not_finite


class FiniteLossMixin:
    """Put before a Trainer class: raises EngineError at the first update whose loss is NaN or infinite."""

    state: Any

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[misc]  # the Trainer's
        if not bool(torch.isfinite(loss)):
            raise refuse_not_finite(f"at update {self.state.global_step + 1}")
        return loss
