"""The files shared by the web side and the engine, whole, torn and hostile."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.engine.rows import make_dpo_row, make_sft_row, write_lines
from training.recipes import CHOICES, PRESETS, DPORecipe, SFTRecipe
from training.run_dir import (
    Base,
    DPOJob,
    DPORow,
    EvaluateJob,
    Metric,
    RunDirError,
    SFTJob,
    SFTRow,
    Status,
    append_metric,
    clear_stop,
    is_stop_requested,
    keep_metrics,
    read_job,
    read_metrics,
    read_rows,
    read_status,
    request_stop,
    tail_log,
    write_job,
    write_status,
)


@pytest.mark.parametrize(
    "job",
    [
        SFTJob(),
        DPOJob(base=Base(path="/m", adapter="/a"), hyperparameters=DPORecipe(beta=0.3)),
        EvaluateJob(base=Base(path="/m")),
    ],
)
def test_a_job_is_read_as_it_was_written(tmp_path: Path, job: SFTJob | DPOJob | EvaluateJob) -> None:
    write_job(tmp_path, job)
    assert read_job(tmp_path) == job
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{"version": 2, "kind": "sft"}', "has version 2; this code reads version 1"),
        ("[]", "has version None"),
        ('{"version": 1, "kind": "grpo"}', "sft"),
        ('{"version": 1, "kind": "sft", "hyperparameters": {"learning_rate": -1}}', "learning_rate"),
        ('{"version": 1, "kind": "sft", "shell": "rm"}', "shell"),
        ('{"version": 1, "kind": "dpo", "base": {"adapter": "/a"}}', "needs the path"),
        ('{"version": 1, "kind": "evaluate"}', "needs the path"),
        ('{"version": 1', "Expecting"),
        ("[" * 100_000, "job.json"),
    ],
)
def test_a_job_that_cannot_be_read_says_why(tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(RunDirError, match=cause):
        read_job(tmp_path)


def test_a_missing_job_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match=r"job\.json is missing"):
        read_job(tmp_path)


def test_nothing_is_there_before_the_engine_starts(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    assert read_metrics(tmp_path) == []
    assert tail_log(tmp_path) == []
    assert list(read_rows(tmp_path / "train.jsonl")) == []


def test_a_reader_never_sees_half_a_status(tmp_path: Path) -> None:
    write_status(tmp_path, Status(state="starting"))
    ended = threading.Event()

    def write() -> None:
        for step in range(300):
            write_status(tmp_path, Status(state="running", stage="x" * (step * 10), step=step))
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not ended.is_set():
        assert read_status(tmp_path) is not None
    thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(losses=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=8), cut=st.integers(0, 10_000))
def test_metrics_cut_at_any_byte_give_the_complete_lines_before_it(
    tmp_path: Path, losses: list[float], cut: int
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.unlink(missing_ok=True)
    for step, loss in enumerate(losses):
        append_metric(tmp_path, Metric(step=step, time=1.0, loss=loss))
    whole = path.read_bytes()
    torn = whole[: cut % (len(whole) + 1)]
    path.write_bytes(torn)
    metrics = read_metrics(tmp_path)
    assert [metric.loss for metric in metrics] == losses[: torn.count(b"\n")]
    assert read_metrics(tmp_path, after=2) == metrics[2:]
    keep_metrics(tmp_path, up_to_step=3)
    assert read_metrics(tmp_path) == metrics[:4]


def test_further_values_of_a_metric_are_kept_and_nan_is_none(tmp_path: Path) -> None:
    append_metric(tmp_path, Metric(step=1, time=2.0, loss=float("nan"), **{"rewards/accuracies": 0.5}))
    [metric] = read_metrics(tmp_path)
    assert metric.loss is None
    assert metric.model_extra == {"rewards/accuracies": 0.5}


def test_a_broken_line_inside_the_metrics_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1, "time": 1}\n\x00\xff\n')
    with pytest.raises(RunDirError, match=r"metrics\.jsonl, line 2"):
        read_metrics(tmp_path)


def test_rows_of_both_kinds_are_told_apart(tmp_path: Path) -> None:
    write_lines(tmp_path / "eval.jsonl", [make_sft_row(1), make_dpo_row(2)])
    assert [type(row) for row in read_rows(tmp_path / "eval.jsonl")] == [SFTRow, DPORow]


@pytest.mark.parametrize("line", ['{"trajectory": 1}', "nonsense", "3", '{"pair": 1, "messages": []}', "[" * 90_000])
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps(make_sft_row(1)) + "\n" + line + "\n")
    with pytest.raises(RunDirError, match=r"train\.jsonl, line 2"):
        list(read_rows(tmp_path / "train.jsonl"))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec=None)))
def test_any_text_comes_back_but_for_lone_surrogates(tmp_path: Path, text: str) -> None:
    write_lines(tmp_path / "train.jsonl", [make_sft_row(1, messages=[{"role": "user", "content": text}])])
    [row] = read_rows(tmp_path / "train.jsonl")
    assert isinstance(row, SFTRow)
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert row.messages[0]["content"].encode() == expected.encode()


def test_the_log_is_read_from_its_end_whatever_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"x" * 600_000 + b"\n\xff\x1b[31mred\nlast")
    assert tail_log(tmp_path, lines=2) == ["\ufffd\x1b[31mred", "last"]
    assert tail_log(tmp_path, lines=0) == []


def test_a_stop_can_be_asked_for_twice_and_taken_back(tmp_path: Path) -> None:
    request_stop(tmp_path)
    request_stop(tmp_path)
    assert is_stop_requested(tmp_path)
    clear_stop(tmp_path)
    clear_stop(tmp_path)
    assert not is_stop_requested(tmp_path)


@pytest.mark.parametrize(
    "values",
    [{"learning_rate": 0}, {"learning_rate": float("nan")}, {"batch_size": 0}, {"max_length": 8}, {"adapter": "x"}],
)
def test_hyperparameters_have_bounds(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SFTRecipe.model_validate(values)


def test_every_hyperparameter_and_choice_is_described() -> None:
    for recipe in (SFTRecipe, DPORecipe):
        for name, field in recipe.model_fields.items():
            assert field.title, name
            assert field.description, name
    for name, meanings in CHOICES.items():
        schema = SFTRecipe.model_json_schema()["properties"][name]
        assert sorted(schema["enum"]) == sorted(meanings)
    assert [preset.slug for preset in PRESETS] == ["quick-look", "lora-small", "full"]
