"""Loading and saving: the device, tokenizer, model and adapter of a job. Safetensors only, no code from models."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.engine.failures import EngineError, refuse_not_finite
from training.recipes import DPORecipe, SFTRecipe

ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Device:
    """Where it is computed: the GPU when there is one, in bfloat16 where it can."""

    name: str
    cuda: bool
    bf16: bool


def find_device() -> Device:
    import torch

    if not torch.cuda.is_available():
        return Device("cpu", cuda=False, bf16=False)
    return Device(torch.cuda.get_device_name(0), cuda=True, bf16=torch.cuda.is_bf16_supported())


def load_tokenizer(path: Path) -> Any:
    """The fast tokenizer of a model directory, with a padding token. Raises EngineError."""
    from transformers import AutoTokenizer

    if not (path / "config.json").is_file():
        raise EngineError(f"There is no model in {path}.", "Check the model's directory.")
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    if not tokenizer.is_fast:
        raise EngineError("The model has no fast tokenizer.", "Choose a model with a tokenizer.json.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(base: Path, adapter: Path | None, *, device: Device, merge: bool, trainable: bool) -> Any:
    """A model, with its adapter on top or merged into it.

    Weights that are trained are float32: steps of a low learning rate vanish in bfloat16.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    every_weight_is_trained = trainable and (merge or adapter is None)
    dtype = torch.bfloat16 if device.bf16 and not every_weight_is_trained else torch.float32
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
    except OSError as error:
        raise EngineError(f"The model cannot be loaded: {error}", "Weights must be safetensors.") from error
    if adapter is None:
        return model
    if not (adapter / ADAPTER_WEIGHTS).is_file():
        raise EngineError(f"There is no {ADAPTER_WEIGHTS} in {adapter}.", "Check the adapter's directory.")
    model = PeftModel.from_pretrained(model, adapter, is_trainable=trainable and not merge)
    if not merge:
        return model
    merged = model.merge_and_unload()
    return merged.requires_grad_(trainable)  # the adapter had frozen the weights below it


def load_policy(base: Path, adapter: Path | None, recipe: SFTRecipe | DPORecipe, device: Device) -> tuple[Any, Any]:
    """(model, peft_config): what a trainer is given.

    LoRA on an adapter goes on training that adapter; LoRA on a model gets a new one; full training on an adapter
    merges it first.
    """
    from peft import LoraConfig

    if recipe.adapter == "full":
        return load_model(base, adapter, device=device, merge=True, trainable=True), None
    if adapter is not None:
        return load_model(base, adapter, device=device, merge=False, trainable=True), None
    config = LoraConfig(
        r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return load_model(base, None, device=device, merge=False, trainable=False), config


def read_context_length(base: Path) -> int:
    """Tokens that a model's positions reach to, by its config."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, trust_remote_code=False, local_files_only=True)
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 2**20)


def save_model(model: Any, tokenizer: Any, output: Path) -> None:
    """Write `output` in one move. Of adapters only the trained one: DPO's reference copy stays behind.

    Raises EngineError when a trained weight is not finite.
    """
    import torch

    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
            raise refuse_not_finite(f"after training, in {name}")
    unfinished = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    if hasattr(model, "peft_config"):
        model.save_pretrained(unfinished, selected_adapters=["default"], save_embedding_layers=False)
    else:
        model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    shutil.rmtree(output, ignore_errors=True)
    unfinished.rename(output)
