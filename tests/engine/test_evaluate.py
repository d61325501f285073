"""Measuring a model: the figures again by hand, the same figures twice, and the choice of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.rows import make_dpo_row, make_messages, make_run_dir, make_sft_row, score_by_hand
from training.engine.encode import Encoder
from training.engine.evaluate import evaluate
from training.engine.failures import EngineError
from training.engine.next_actions import choose_steps
from training.engine.session import Session
from training.engine.sft import train
from training.engine.tokenise import encode_row
from training.recipes import EvaluateRecipe, SFTRecipe
from training.results import Evaluation
from training.run_dir import OUTPUT_DIR, Base, DPORow, EvaluateJob, SFTJob, SFTRow, read_evaluation

KNOWN = [make_sft_row(1)]


@pytest.fixture(scope="module")
def sft_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows a row by heart."""
    recipe = SFTRecipe(adapter="full", max_steps=120, learning_rate=1e-2, batch_size=1, gradient_accumulation=1)
    job = SFTJob(base=Base(path=str(tiny_model)), hyperparameters=recipe)
    directory = make_run_dir(tmp_path_factory.mktemp("known") / "run", job, train=KNOWN)
    assert train(Session(directory), job) == "done"
    return directory / OUTPUT_DIR


def run(directory: Path, base: Base, rows: list[dict[str, Any]], **values: Any) -> Evaluation:
    job = EvaluateJob(base=base, hyperparameters=EvaluateRecipe(**{"max_new_tokens": 60, **values}))
    make_run_dir(directory, job, held_out=rows)
    assert evaluate(Session(directory), job) == "done"
    evaluation = read_evaluation(directory)
    assert evaluation is not None
    return evaluation


def test_the_figures_of_a_row_and_a_pair_are_those_computed_by_hand(
    tmp_path: Path, tiny_model: Path, sft_adapter: Path, encoder: Encoder
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    row, pair = make_sft_row(8), make_dpo_row(9)
    base = Base(path=str(tiny_model), adapter=str(sft_adapter))
    found = run(tmp_path / "run", base, [row, pair], max_samples=0)

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), sft_adapter)
    losses, right = score_by_hand(model, encoder.encode(row["messages"], tools=row["tools"]))
    assert found.held_out.rows == 1
    assert found.held_out.tokens == len(losses)
    assert found.held_out.loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert found.held_out.token_accuracy == pytest.approx(sum(right) / len(right))
    assert (found.held_out.actions, found.held_out.exact_actions) == (2, 0)
    assert found.held_out_bands == {"4": found.held_out}
    chosen, rejected = (score_by_hand(model, side)[0] for side in encode_row(encoder, DPORow.model_validate(pair)))
    margin = sum(rejected) / len(rejected) - sum(chosen) / len(chosen)
    assert found.preference.total.margin == pytest.approx(margin, rel=1e-4)
    assert found.preference.total.accuracy == float(margin > 0)
    assert found.preference.bands.keys() == {"5"}
    assert found.preference.normalisation == "mean log-probability per agent token"
    assert found.next_actions == []


def test_a_model_that_knows_the_row_writes_the_recorded_actions(tmp_path: Path, sft_model: Path) -> None:
    found = run(tmp_path / "run", Base(path=str(sft_model)), KNOWN)
    assert found.held_out.token_accuracy == 1.0
    assert found.held_out.action_accuracy == 1.0
    assert [(action.trajectory, action.revision, action.step) for action in found.next_actions] == [
        (1, 101, 2),
        (1, 101, 4),
    ]
    first = found.next_actions[0]
    assert first.recorded == 'Look.\n<tool_call>{"name": "shell", "arguments": {"cmd":  "ls d1" }}</tool_call>'
    assert all(action.generated == action.recorded for action in found.next_actions)
    assert all(action.exact and action.finished and action.prompt_cut == 0 for action in found.next_actions)
    assert found.exact_next_actions == 2


def test_the_same_rows_give_the_same_figures_and_every_model_the_same_steps(
    tmp_path: Path, tiny_model: Path, sft_adapter: Path, sft_model: Path
) -> None:
    rows = [make_sft_row(number) for number in range(4)] + [make_dpo_row(5)]
    one, two = (
        run(tmp_path / name, Base(path=str(sft_model)), rows, max_samples=4, max_new_tokens=8) for name in ("1", "2")
    )
    assert one.model_copy(update={"seconds": 0}) == two.model_copy(update={"seconds": 0})
    adapted = Base(path=str(tiny_model), adapter=str(sft_adapter))
    other = run(tmp_path / "3", adapted, rows, max_samples=4, max_new_tokens=8)
    places = [
        [(action.trajectory, action.pair, action.step) for action in found.next_actions] for found in (one, other)
    ]
    assert places[0] == places[1]
    assert len(places[0]) == 4


def test_a_prompt_too_long_for_the_model_is_cut_from_the_left_and_counted(tmp_path: Path, sft_model: Path) -> None:
    found = run(tmp_path / "run", Base(path=str(sft_model)), [make_sft_row(1)], max_length=64, max_new_tokens=16)
    assert found.cut_prompts == 2
    assert all(action.prompt_cut > 0 for action in found.next_actions)
    assert found.skipped_rows == 1  # its first 64 tokens hold no agent turn
    assert found.held_out.loss is None


def test_without_trajectories_the_chosen_sides_are_the_held_out_rows(tmp_path: Path, tiny_model: Path) -> None:
    pairs = [make_dpo_row(1), make_dpo_row(2)]
    found = run(tmp_path / "run", Base(path=str(tiny_model)), pairs, max_samples=0)
    assert found.held_out.rows == 2
    chosen = [make_sft_row(number, band=number + 1) for number in (1, 2)]
    same = run(tmp_path / "same", Base(path=str(tiny_model)), chosen, max_samples=0)
    assert found.held_out == same.held_out


def test_without_held_out_rows_there_is_nothing_to_measure(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(EngineError, match="no held-out rows"):
        run(tmp_path / "run", Base(path=str(tiny_model)), [])


@settings(deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(0, 6), st.none() | st.integers(1, 5), st.booleans()), max_size=12),
    most=st.integers(0, 30),
)
def test_steps_are_spread_over_bands_and_rows(shapes: list[tuple[int, int | None, bool]], most: int) -> None:
    rows: list[SFTRow | DPORow] = []
    for number, (turns, band, is_pair) in enumerate(shapes):
        messages = [{"role": "user", "content": "u"}, *[{"role": "assistant", "content": "a"}] * turns]
        if is_pair:
            changes = {"prompt": messages[:1], "chosen": messages[1:], "rejected": make_messages(1), "band": band}
            rows.append(DPORow.model_validate(make_dpo_row(number, **changes)))
        else:
            rows.append(SFTRow.model_validate(make_sft_row(number, messages=messages, band=band)))
    steps = choose_steps(rows, most=most)
    there_are = [min(turns, 1) if is_pair else turns for turns, _, is_pair in shapes]
    assert len(steps) == len(set(steps)) == min(most, sum(there_are))
    assert steps == choose_steps(rows, most=most)
    for index, message in steps:
        assert 1 <= message <= there_are[index]
    bands = {row.band for row, turns in zip(rows, there_are, strict=True) if turns}
    assert len({rows[index].band for index, _ in steps}) == min(len(bands), len(steps))
    if len(bands) == 1:
        assert len({index for index, _ in steps}) == min(sum(turns > 0 for turns in there_are), len(steps))
