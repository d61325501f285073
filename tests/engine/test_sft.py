"""Supervised fine-tuning, really run: weights, stop and resume, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rows import (
    have_same_weights,
    make_dpo_row,
    make_messages,
    make_run_dir,
    make_sft_row,
    read_losses,
    read_weights,
    score_by_hand,
)
from training.engine.encode import Encoder
from training.engine.failures import EngineError, StopRequested
from training.engine.session import Session
from training.engine.sft import train
from training.recipes import SFTRecipe
from training.run_dir import (
    CHECKPOINTS_DIR,
    OUTPUT_DIR,
    Base,
    SFTJob,
    clear_stop,
    read_metrics,
    read_result,
    request_stop,
)

LONG = [*make_messages(4)[:4], {"role": "assistant", "content": "There are four of them, as far as I can see."}]


class SessionThatStops(Session):
    """Asks for a stop after an update, as a person would."""

    at = 3

    def report_progress(self, step: int, steps: int) -> None:
        super().report_progress(step, steps)
        if step == self.at:
            request_stop(self.directory)


def make_job(tiny_model: Path, **values: Any) -> SFTJob:
    defaults: dict[str, Any] = {
        "adapter": "full",
        "max_steps": 6,
        "learning_rate": 3e-3,
        "batch_size": 2,
        "gradient_accumulation": 1,
        "logging_steps": 1,
    }
    return SFTJob(base=Base(path=str(tiny_model)), hyperparameters=SFTRecipe(**{**defaults, **values}))


@pytest.mark.parametrize("weighting", ["token", "trajectory"])
def test_the_loss_of_an_update_is_the_weighted_one_computed_by_hand(
    tmp_path: Path, tiny_model: Path, encoder: Encoder, weighting: str
) -> None:
    from transformers import AutoModelForCausalLM

    rows = [make_sft_row(1, weight=0.5), make_sft_row(2, weight=1.0), make_sft_row(4, weight=1.5, messages=LONG)]
    job = make_job(tiny_model, max_steps=1, batch_size=3, weighting=weighting)
    assert train(Session(make_run_dir(tmp_path / "run", job, train=rows)), job) == "done"

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    by_row = [score_by_hand(model, encoder.encode(row["messages"], tools=row["tools"]))[0] for row in rows]
    assert len({len(losses) for losses in by_row}) > 1
    if weighting == "token":
        expected = sum(row["weight"] * sum(losses) for row, losses in zip(rows, by_row, strict=True))
        expected /= sum(map(len, by_row))
    else:
        expected = sum(row["weight"] * sum(losses) / len(losses) for row, losses in zip(rows, by_row, strict=True))
        expected /= len(rows)
    [(step, loss)] = read_losses(tmp_path / "run")
    assert step == 1
    assert loss == pytest.approx(expected, rel=1e-5)


def test_accumulated_batches_count_trajectories_as_one_batch_does(tmp_path: Path, tiny_model: Path) -> None:
    rows = [make_sft_row(1), make_sft_row(4, messages=LONG), make_sft_row(2), make_sft_row(3, weight=0.3)]
    losses = []
    for name, batch, accumulated in (("one", 4, 1), ("two", 2, 2), ("four", 1, 4)):
        job = make_job(
            tiny_model, max_steps=3, batch_size=batch, gradient_accumulation=accumulated, weighting="trajectory"
        )
        assert train(Session(make_run_dir(tmp_path / name, job, train=rows)), job) == "done"
        losses.append([loss for _, loss in read_losses(tmp_path / name)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


def test_a_stopped_run_goes_on_to_the_same_model_as_one_never_stopped(tmp_path: Path, tiny_model: Path) -> None:
    job = make_job(tiny_model)
    rows = [make_sft_row(number) for number in range(8)]
    held_out = [make_sft_row(50), make_dpo_row(51)]
    straight = make_run_dir(tmp_path / "straight", job, train=rows, held_out=held_out)
    assert train(Session(straight), job) == "done"

    stopped = make_run_dir(tmp_path / "stopped", job, train=rows, held_out=held_out)
    assert train(SessionThatStops(stopped), job) == "stopped"
    assert read_losses(stopped) == read_losses(straight)[:3]
    assert not (stopped / OUTPUT_DIR).exists()
    clear_stop(stopped)
    torn = stopped / CHECKPOINTS_DIR / "checkpoint-5"  # killed while it was saved
    shutil.copytree(stopped / CHECKPOINTS_DIR / "checkpoint-3", torn)
    (torn / "complete").unlink()
    (torn / "optimizer.pt").unlink()
    assert train(Session(stopped), job) == "done"
    assert read_losses(stopped) == read_losses(straight)
    assert have_same_weights(stopped / OUTPUT_DIR, straight / OUTPUT_DIR)

    metrics = read_metrics(stopped)
    assert [metric.step for metric in metrics if metric.eval_loss is not None] == [0, 6]
    result, other = read_result(stopped), read_result(straight)
    assert result is not None
    assert other is not None
    assert result.model_copy(update={"seconds": 0}) == other.model_copy(update={"seconds": 0})
    assert result.eval_loss is not None
    assert result.eval_loss_before is not None
    assert result.eval_loss < result.eval_loss_before
    assert result.eval_loss_bands.keys() == {"1"}
    assert result.preference is not None
    assert result.preference.total.pairs == 1
    assert not (stopped / CHECKPOINTS_DIR).exists()


class SessionThatStopsAfterwards(Session):
    """Asks for a stop while the trained model is measured."""

    def enter(self, stage: str) -> None:
        super().enter(stage)
        if stage == "evaluating" and (self.directory / OUTPUT_DIR).exists():
            request_stop(self.directory)


def test_a_run_stopped_after_its_last_update_is_not_trained_further_when_resumed(
    tmp_path: Path, tiny_model: Path
) -> None:
    job = make_job(tiny_model, max_steps=3)  # within an epoch
    rows, held_out = [make_sft_row(number) for number in range(20)], [make_sft_row(50)]
    directory = make_run_dir(tmp_path / "run", job, train=rows, held_out=held_out)
    with pytest.raises(StopRequested):
        train(SessionThatStopsAfterwards(directory), job)
    weights = read_weights(directory / OUTPUT_DIR)
    losses = read_losses(directory)
    clear_stop(directory)
    assert train(Session(directory), job) == "done"
    assert read_losses(directory) == losses
    assert len(losses) == 3
    resumed = read_weights(directory / OUTPUT_DIR)
    assert all(weights[name].equal(resumed[name]) for name in weights)
    result = read_result(directory)
    assert result is not None
    assert result.steps == 3
    assert result.eval_loss is not None


def test_the_output_is_a_model_with_the_template_it_had(tmp_path: Path, tiny_model: Path) -> None:
    import trl
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    stock = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text(encoding="utf-8")
    (base / "chat_template.jinja").write_text(stock, encoding="utf-8")
    job = make_job(base, max_steps=1)
    directory = make_run_dir(tmp_path / "run", job, train=[make_sft_row(1)])
    assert train(Session(directory), job) == "done"
    output = directory / OUTPUT_DIR
    assert AutoTokenizer.from_pretrained(output).chat_template == stock
    assert AutoModelForCausalLM.from_pretrained(output, use_safetensors=True).config.model_type == "qwen3"
    assert not [path for path in output.rglob("*") if path.suffix in {".bin", ".pt", ".pth", ".pkl"}]


def test_an_adapter_is_saved_alone_and_can_be_trained_on(tmp_path: Path, tiny_model: Path, sft_adapter: Path) -> None:
    assert {path.name for path in sft_adapter.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    assert not (sft_adapter / "model.safetensors").exists()
    assert json.loads((sft_adapter / "adapter_config.json").read_text())["r"] == 4
    job = SFTJob(
        base=Base(path=str(tiny_model), adapter=str(sft_adapter)),
        hyperparameters=SFTRecipe(max_steps=1, learning_rate=1e-2, batch_size=1, gradient_accumulation=2),
    )
    directory = make_run_dir(tmp_path / "run", job, train=[make_sft_row(1)])
    assert train(Session(directory), job) == "done"
    assert read_weights(directory / OUTPUT_DIR).keys() == read_weights(sft_adapter).keys()
    result = read_result(directory)
    assert result is not None
    assert (result.output, result.base) == ("adapter", str(tiny_model))
    assert result.trainable_parameters < result.parameters


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, tiny_model: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    job = make_job(base)
    with pytest.raises(EngineError, match=r"not a number any more \(at update 1\)") as caught:
        train(Session(make_run_dir(tmp_path / "run", job, train=[make_sft_row(1)])), job)
    assert "learning rate" in caught.value.advice


@pytest.mark.parametrize(
    ("rows", "cause"),
    [([], "no training rows"), ([make_dpo_row(1)], "must hold trajectories only")],
)
def test_rows_that_cannot_be_trained_on_are_refused(
    tmp_path: Path, tiny_model: Path, rows: list[dict[str, Any]], cause: str
) -> None:
    job = make_job(tiny_model)
    with pytest.raises(EngineError, match=cause):
        train(Session(make_run_dir(tmp_path / "run", job, train=rows)), job)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    job = make_job(tmp_path / "nowhere")
    with pytest.raises(EngineError, match=r"no model in .*nowhere"):
        train(Session(make_run_dir(tmp_path / "run", job, train=[make_sft_row(1)])), job)


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path, tiny_model: Path) -> None:
    import torch

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    (base / "model.safetensors").unlink()
    torch.save({}, base / "pytorch_model.bin")
    job = make_job(base)
    with pytest.raises(EngineError, match="cannot be loaded") as caught:
        train(Session(make_run_dir(tmp_path / "run", job, train=[make_sft_row(1)])), job)
    assert "safetensors" in caught.value.advice
