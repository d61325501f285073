"""The engine as it is started: a process that can be asked to stop, killed, and started again."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.engine.rows import (
    have_same_weights,
    make_dpo_row,
    make_run_dir,
    make_sft_row,
    read_losses,
    start_engine,
)
from training.engine.session import Session
from training.engine.sft import train
from training.recipes import DPORecipe, EvaluateRecipe, SFTRecipe, TinyModel
from training.run_dir import (
    CHECKPOINTS_DIR,
    OUTPUT_DIR,
    Base,
    DPOJob,
    EvaluateJob,
    SFTJob,
    read_evaluation,
    read_result,
    read_status,
    read_tokens,
    request_stop,
    tail_log,
)

LIMIT_SECONDS = 120.0


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert process.poll() is None, "the engine ended too early"
        assert time.monotonic() < end
        time.sleep(0.02)


def finish(process: subprocess.Popen[bytes]) -> int:
    return process.wait(timeout=LIMIT_SECONDS)


def test_a_killed_run_goes_on_to_the_model_of_an_unharmed_one(tmp_path: Path) -> None:
    recipe = SFTRecipe(
        adapter="full",
        max_steps=60,
        learning_rate=3e-3,
        batch_size=2,
        gradient_accumulation=1,
        logging_steps=1,
        save_steps=5,
    )
    job = SFTJob(base=Base(tiny=TinyModel(hidden_size=32, layers=1, vocab_size=600)), hyperparameters=recipe)
    rows = [make_sft_row(number) for number in range(10)]
    killed = make_run_dir(tmp_path / "killed", job, train=rows)
    process = start_engine("sft", killed)
    wait_until(lambda: len(read_losses(killed)) >= 12, process)
    process.kill()
    finish(process)
    status = read_status(killed)
    assert status is not None
    assert (status.state, status.pid) == ("running", process.pid)
    assert status.heartbeat > time.time() - 30
    assert len(read_losses(killed)) < 60
    assert list((killed / CHECKPOINTS_DIR).iterdir())

    assert finish(start_engine("sft", killed)) == 0
    assert any("going on from checkpoint-" in line for line in tail_log(killed))
    status = read_status(killed)
    assert status is not None
    assert (status.state, status.step, status.steps, status.error) == ("done", 60, 60, None)
    unharmed = make_run_dir(tmp_path / "unharmed", job, train=rows)
    assert train(Session(unharmed), job) == "done"
    assert read_losses(killed) == read_losses(unharmed)
    assert have_same_weights(killed / OUTPUT_DIR, unharmed / OUTPUT_DIR)
    result = read_result(killed)
    assert result is not None
    assert result.base == "base"


def test_a_terminated_run_stops_with_a_checkpoint_and_can_be_resumed_once(
    tmp_path: Path, tiny_model: Path, sft_adapter: Path
) -> None:
    recipe = DPORecipe(max_steps=100, batch_size=1, gradient_accumulation=1, logging_steps=1, save_steps=1000)
    job = DPOJob(base=Base(path=str(tiny_model), adapter=str(sft_adapter)), hyperparameters=recipe)
    directory = make_run_dir(tmp_path / "run", job, train=[make_dpo_row(number) for number in range(4)])
    process = start_engine("dpo", directory)
    wait_until(lambda: read_status(directory) is not None, process)
    assert finish(start_engine("dpo", directory)) == 2  # one engine at a time
    wait_until(lambda: len(read_losses(directory)) >= 2, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process) == 0
    status = read_status(directory)
    assert status is not None
    assert status.state == "stopped"
    assert 2 <= status.step < 100
    assert (directory / CHECKPOINTS_DIR / f"checkpoint-{status.step}" / "complete").exists()

    assert finish(start_engine("dpo", directory)) == 0
    status = read_status(directory)
    assert status is not None
    assert (status.state, status.step) == ("done", 100)
    assert [step for step, _ in read_losses(directory)] == list(range(1, 101))
    written = (directory / OUTPUT_DIR / "adapter_model.safetensors").stat().st_mtime_ns
    assert finish(start_engine("dpo", directory)) == 0  # done already: nothing is done again
    assert (directory / OUTPUT_DIR / "adapter_model.safetensors").stat().st_mtime_ns == written


def test_an_evaluation_writes_its_figures(tmp_path: Path, tiny_model: Path) -> None:
    job = EvaluateJob(base=Base(path=str(tiny_model)), hyperparameters=EvaluateRecipe(max_samples=2, max_new_tokens=4))
    directory = make_run_dir(tmp_path / "run", job, held_out=[make_sft_row(1), make_dpo_row(2)])
    assert finish(start_engine("evaluate", directory)) == 0
    evaluation = read_evaluation(directory)
    assert evaluation is not None
    assert (evaluation.held_out.rows, evaluation.preference.total.pairs) == (1, 1)
    assert len(evaluation.next_actions) == 2
    status = read_status(directory)
    assert status is not None
    assert (status.state, status.step, status.steps) == ("done", 4, 4)


def test_a_run_in_which_every_row_is_dropped_fails_before_training_with_the_reason(
    tmp_path: Path, tiny_model: Path
) -> None:
    job = SFTJob(base=Base(path=str(tiny_model)), hyperparameters=SFTRecipe(max_length=16, too_long="keep_start"))
    directory = make_run_dir(tmp_path / "run", job, train=[make_sft_row(number) for number in range(3)])
    assert finish(start_engine("sft", directory)) == 1
    status = read_status(directory)
    assert status is not None
    assert (status.state, status.step) == ("failed", 0)
    assert "Every one of the 3 training rows was dropped" in (status.error or "")
    assert "the length limit leaves none" in (status.error or "")
    assert status.advice
    report = read_tokens(directory)
    assert report is not None
    assert report.totals.dropped == 3
    assert not (directory / OUTPUT_DIR).exists()


def test_a_stop_asked_for_before_the_start_is_obeyed_and_used_up(tmp_path: Path, tiny_model: Path) -> None:
    directory = make_run_dir(tmp_path / "run", SFTJob(base=Base(path=str(tiny_model))), train=[make_sft_row(1)])
    request_stop(directory)
    assert finish(start_engine("sft", directory)) == 0
    status = read_status(directory)
    assert status is not None
    assert status.state == "stopped"
    assert not (directory / "stop").exists()


def test_a_job_of_another_kind_or_none_fails_in_words(tmp_path: Path) -> None:
    directory = make_run_dir(tmp_path / "run", SFTJob())
    assert finish(start_engine("dpo", directory)) == 1
    status = read_status(directory)
    assert status is not None
    assert status.error == "job.json asks for sft, this is the engine for dpo"
    (directory / "job.json").write_text('{"version": 7}')
    assert finish(start_engine("dpo", directory)) == 1
    status = read_status(directory)
    assert status is not None
    assert "version 7" in (status.error or "")
