"""Direct preference optimisation, really run: where it starts from, what bears loss, what it leaves behind."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rows import (
    have_same_weights,
    make_dpo_row,
    make_run_dir,
    make_sft_row,
    read_losses,
    read_weights,
    score_by_hand,
)
from tests.engine.test_sft import SessionThatStops
from training.engine.dpo import train
from training.engine.encode import Encoder
from training.engine.session import Session
from training.engine.tokenise import encode_row, tokenise_rows
from training.recipes import DPORecipe
from training.run_dir import OUTPUT_DIR, Base, DPOJob, DPORow, clear_stop, read_metrics, read_result

INITIAL = pytest.approx(math.log(2), abs=1e-4)  # the policy is the reference: 0.6931


def make_job(base: Base, **values: Any) -> DPOJob:
    defaults: dict[str, Any] = {
        "max_steps": 3,
        "learning_rate": 3e-3,
        "batch_size": 2,
        "gradient_accumulation": 1,
        "logging_steps": 1,
        "lora_rank": 4,
    }
    return DPOJob(base=base, hyperparameters=DPORecipe(**{**defaults, **values}))


@pytest.mark.parametrize(
    ("adapter", "on_sft_adapter", "output"),
    [
        ("lora", True, "adapter_model.safetensors"),
        ("lora", False, "adapter_model.safetensors"),
        ("full", True, "model.safetensors"),
        ("full", False, "model.safetensors"),
    ],
)
def test_it_starts_at_its_reference_and_leaves_only_what_it_trained(
    tmp_path: Path, tiny_model: Path, sft_adapter: Path, adapter: str, on_sft_adapter: bool, output: str
) -> None:
    job = make_job(Base(path=str(tiny_model), adapter=str(sft_adapter) if on_sft_adapter else None), adapter=adapter)
    directory = make_run_dir(
        tmp_path / "run",
        job,
        train=[make_dpo_row(number) for number in range(6)],
        held_out=[make_dpo_row(60), make_sft_row(61)],
    )
    assert train(Session(directory), job) == "done"
    losses = [loss for _, loss in read_losses(directory)]
    assert losses[0] == INITIAL
    assert losses[2] != INITIAL
    assert [path.name for path in (directory / OUTPUT_DIR).rglob("*.safetensors")] == [output]
    assert not [path for path in (directory / OUTPUT_DIR).rglob("*") if "ref" in path.name]
    assert not any(".ref." in name for name in read_weights(directory / OUTPUT_DIR))
    last_training_line = [metric for metric in read_metrics(directory) if metric.loss is not None][-1]
    assert "rewards/accuracies" in (last_training_line.model_extra or {})
    result = read_result(directory)
    assert result is not None
    assert result.kind == "dpo"
    assert result.eval_rows == 1
    assert result.preference is not None
    assert result.preference.bands.keys() == {"1"}
    assert result.preference_accuracy_before in {0.0, 1.0}


def test_the_reference_is_the_sft_policy_not_the_base(tmp_path: Path, tiny_model: Path, sft_adapter: Path) -> None:
    """The log-probabilities of the first update are those of the model with its adapter."""
    logged = []
    for name, adapter in (("with", str(sft_adapter)), ("without", None)):
        job = make_job(Base(path=str(tiny_model), adapter=adapter), max_steps=1, batch_size=1)
        directory = make_run_dir(tmp_path / name, job, train=[make_dpo_row(1)])
        assert train(Session(directory), job) == "done"
        [metric] = read_metrics(directory)
        assert metric.loss == INITIAL
        logged.append((metric.model_extra or {})["logps/chosen"])
    assert logged[0] != pytest.approx(logged[1], rel=1e-3)


def test_tool_results_and_user_turns_bear_no_loss_on_either_side(encoder: Encoder) -> None:
    from training.engine.dpo_trainer import AgentTurnsCollator, build_dpo_dataset

    row = make_dpo_row(1)
    row["chosen"][2]["trainable"] = False
    rows = [DPORow.model_validate(row), DPORow.model_validate(make_dpo_row(2))]
    kept = tokenise_rows(encoder, [*rows], limit=4096, too_long="refuse", check=lambda: None).kept
    collator = AgentTurnsCollator(pad_token_id=encoder.tokenizer.pad_token_id)
    batch = collator([dict(example) for example in build_dpo_dataset(kept)])
    sides = [
        encoder.tokenizer.decode(ids[mask.bool()])
        for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]
    look = 'Look.\n<tool_call>{{"name": "shell", "arguments": {{"cmd":  "ls d{}" }}}}</tool_call><|im_end|>'
    assert sides == [
        look.format(1),
        look.format(2) + "There are 2.<|im_end|>",
        look.format(1) + "There are 2.<|im_end|>",
        look.format(2) + "There are 3.<|im_end|>",
    ]


def test_a_pair_of_weight_zero_changes_nothing(tmp_path: Path, tiny_model: Path) -> None:
    base = Base(path=str(tiny_model))
    weighted = make_run_dir(
        tmp_path / "weighted",
        make_job(base, adapter="full"),
        train=[make_dpo_row(1, weight=4.0), make_dpo_row(2, weight=0.0)],
    )
    alone = make_run_dir(tmp_path / "alone", make_job(base, adapter="full", batch_size=1), train=[make_dpo_row(1)])
    assert train(Session(weighted), make_job(base, adapter="full")) == "done"
    assert train(Session(alone), make_job(base, adapter="full", batch_size=1)) == "done"
    assert [loss for _, loss in read_losses(weighted)] == pytest.approx(
        [loss for _, loss in read_losses(alone)], rel=1e-5
    )


def test_the_sft_term_is_the_chosen_sides_own_loss(tmp_path: Path, tiny_model: Path, encoder: Encoder) -> None:
    from transformers import AutoModelForCausalLM

    job = make_job(Base(path=str(tiny_model)), adapter="full", max_steps=1, sft_weight=0.5)
    directory = make_run_dir(tmp_path / "run", job, train=[make_dpo_row(1)])
    assert train(Session(directory), job) == "done"
    chosen = encode_row(encoder, DPORow.model_validate(make_dpo_row(1)))[0]
    losses, _ = score_by_hand(AutoModelForCausalLM.from_pretrained(tiny_model), chosen)
    [(_, loss)] = read_losses(directory)
    assert loss == pytest.approx(math.log(2) + 0.5 * sum(losses) / len(losses), rel=1e-5)


def test_a_stopped_run_goes_on_with_the_same_reference(tmp_path: Path, tiny_model: Path, sft_adapter: Path) -> None:
    job = make_job(Base(path=str(tiny_model), adapter=str(sft_adapter)), max_steps=6)
    rows = [make_dpo_row(number) for number in range(8)]
    straight = make_run_dir(tmp_path / "straight", job, train=rows)
    assert train(Session(straight), job) == "done"
    stopped = make_run_dir(tmp_path / "stopped", job, train=rows)
    assert train(SessionThatStops(stopped), job) == "stopped"
    clear_stop(stopped)
    moved = tmp_path / "moved"  # nothing in the directory depends on where it is
    shutil.move(stopped, moved)
    assert train(Session(moved), job) == "done"
    assert read_losses(moved) == read_losses(straight)
    assert have_same_weights(moved / OUTPUT_DIR, straight / OUTPUT_DIR)
