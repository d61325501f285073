from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.composing import compose
from curation.difficulty import BANDS
from curation.quotas import divide_rows
from curation.recipe import read_recipe
from curation.selection import Candidate, Overlap, Selection

UNIFORM = dict.fromkeys(BANDS, 0.2)


def make_rows(bands: dict[int | None, int], *, per_task: int = 1, tokens: float = 100) -> list[Candidate]:
    rows: list[Candidate] = []
    for band, number in bands.items():
        for place in range(number):
            pk = len(rows) + 1
            task = 1000 * (band or 0) + place // per_task
            rows.append(
                Candidate(
                    task_id=task, task=str(task), fingerprint=str(task), band=band, tokens=tokens, trajectory_id=pk
                )
            )
    return rows


def compose_rows(
    rows: list[Candidate], *, target: dict[int, float] | None = None, kind: str = "sft", **recipe: Any
) -> Selection:
    more = {name: recipe.pop(name) for name in ("held_out", "overlaps", "instruction") if name in recipe}
    checked = read_recipe({"kind": kind, **({"target": "uniform"} if target else {}), **recipe})
    return compose(checked, rows, target=target, **{"held_out": (), "overlaps": {}, **more})


def count(selection: Selection) -> Counter[int | None]:
    return Counter(row.band for row in selection.train)


def test_a_uniform_set_has_as_many_rows_of_each_difficulty() -> None:
    rows = make_rows({1: 300, 2: 200, 3: 100, 4: 60, 5: 40, None: 7})
    selection = compose_rows(rows, target=UNIFORM, reach=["quotas"])
    assert count(selection) == Counter(dict.fromkeys(BANDS, 40))
    assert selection.problems == []
    assert "as many as difficulty 5 allows" in selection.warnings[0]
    assert selection.left_out["of unknown difficulty, of which the target has no share"] == 7


def test_a_target_that_cannot_be_reached_says_which_band_lacks_what() -> None:
    rows = make_rows({1: 300, 2: 200, 3: 150, 4: 120, 5: 14})
    selection = compose_rows(rows, target=UNIFORM, reach=["quotas"], most_rows=600)
    assert selection.problems == ["Difficulty 5 needs 120 rows for a uniform set of 600, and 14 are there."]


def test_weights_make_up_for_what_quotas_cannot_and_say_how_far() -> None:
    rows = make_rows({1: 300, 2: 200, 3: 150, 4: 120, 5: 14})
    selection = compose_rows(rows, target=UNIFORM, reach=["quotas", "weights"], most_rows=600)
    assert selection.problems == []
    assert "Weights make up for it" in selection.warnings[0]
    assert "difficulty 5 comes to 0.11 instead of 0.20" in selection.warnings[1]
    assert {row.weight for row in selection.train if row.band == 5} == {4.0}


@pytest.mark.parametrize("reach", [["quotas"], ["weights"], ["quotas", "weights"]])
def test_a_difficulty_of_which_nothing_is_there_is_a_problem_however_the_target_is_reached(reach: list[str]) -> None:
    selection = compose_rows(make_rows({1: 30, 2: 20, 3: 15, 4: 12}), target=UNIFORM, reach=reach)
    assert len(selection.problems) == 1
    assert selection.problems[0].startswith("Difficulty 5")


@given(
    there=st.dictionaries(st.sampled_from(BANDS), st.integers(0, 500)),
    wanted=st.dictionaries(st.sampled_from(BANDS), st.floats(0.05, 1), min_size=1),
    size=st.none() | st.integers(1, 1000),
)
def test_quotas_add_up_to_the_size_and_name_all_that_is_missing(
    there: dict[int, int], wanted: dict[int, float], size: int | None
) -> None:
    shares = {band: share / sum(wanted.values()) for band, share in wanted.items()}
    quotas = divide_rows(there, shares, size=size)
    total = sum(quotas.rows.values())
    if size is not None:
        assert total == size
    assert all(abs(quotas.rows[band] - share * total) < 1 for band, share in shares.items())
    missing = {lack.band for lack in quotas.lacks}
    assert missing == {band for band, number in quotas.rows.items() if there.get(band, 0) < number}


def test_quotas_keep_a_row_of_each_task_before_a_second_one() -> None:
    selection = compose_rows(make_rows({3: 40}, per_task=4), quotas={"3": 10})
    assert len({row.task_id for row in selection.train}) == 10


def test_what_is_held_out_is_touched_by_no_quota_limit_or_weight() -> None:
    rows = make_rows({1: 50, 5: 50})
    held_out = {row.fingerprint for row in rows[::2]}
    selection = compose_rows(rows, held_out=held_out, quotas={"1": 3}, most_rows=5, band_weights={"5": 4}, kind="sft")
    measured = [row for row in selection.candidates if row.held_out]
    assert len(measured) == 50
    assert {row.weight for row in measured} == {1.0}
    assert sum(1 for _ in selection.train) == 5


def test_a_limit_of_tokens_stops_at_the_row_that_passes_it_whether_a_later_one_would_fit() -> None:
    rows = make_rows({1: 30}, tokens=100)
    selection = compose_rows(rows, most_tokens=1050)
    assert sum(row.tokens for row in selection.train) == 1000
    assert selection.left_out == {"more than 1,050 tokens": 20}


def test_general_instruction_data_comes_to_its_share_of_the_tokens() -> None:
    instruction = make_rows({None: 500}, tokens=10)
    for row in instruction:
        row.instruction, row.trajectory_id = True, 10_000 + row.order
    rows = make_rows({1: 30}, tokens=100)
    selection = compose_rows(rows, instruction=instruction, instruction_share=0.25)
    mixed = sum(row.tokens for row in selection.train if row.instruction)
    assert mixed / (mixed + 3000) == pytest.approx(0.25)
    short = compose_rows(rows, instruction=instruction[:5], instruction_share=0.25)
    assert short.problems == [
        "General instruction data should be 0.25 of the tokens, for which 1,000 tokens are needed, and 50 are there."
    ]
    assert not any(row.instruction for row in compose_rows(rows, instruction=instruction).candidates)


def test_tasks_that_models_are_measured_on_are_not_trained_on() -> None:
    rows = make_rows({1: 6})
    overlaps = {rows[0].task_id: Overlap("a", "b", 1.0), rows[1].task_id: Overlap("c", "b", 0.9)}
    selection = compose_rows(rows, overlaps=overlaps, held_out={rows[5].fingerprint})
    assert selection.left_out == {
        "has the text of an evaluation task": 1,
        "has nearly the text of an evaluation task": 1,
    }
    assert selection.overlaps == [Overlap("a", "b", 1.0), Overlap("c", "b", 0.9)]


def test_kto_is_balanced_by_leaving_out_some_of_the_larger_side() -> None:
    rows = make_rows({1: 40})
    for row in rows:
        row.desirable = row.order > 10
    selection = compose_rows(rows, kind="kto", most_of_one=1.5)
    assert Counter(row.desirable for row in selection.train) == {True: 15, False: 10}


@given(
    bands=st.dictionaries(st.sampled_from([None, *BANDS]), st.integers(0, 30)),
    per_task=st.integers(1, 4),
    recipe=st.fixed_dictionaries(
        {},
        optional={
            "most_per_task": st.integers(1, 5),
            "quotas": st.dictionaries(st.sampled_from("1234"), st.integers(0, 20)),
            "most_rows": st.integers(1, 50),
            "most_tokens": st.integers(1, 5000),
            "seed": st.integers(0, 5),
        },
    ),
)
def test_every_row_is_either_taken_or_left_out_with_a_reason(
    bands: dict[int | None, int], per_task: int, recipe: dict[str, Any]
) -> None:
    rows = make_rows(bands, per_task=per_task)
    selection = compose_rows(rows, **recipe)
    taken = [row.trajectory_id for row in selection.candidates]
    left_out = [row.trajectory_id for row in selection.left_out_rows]
    assert sorted([*taken, *left_out], key=str) == sorted((row.trajectory_id for row in rows), key=str)
    again = compose_rows(make_rows(bands, per_task=per_task)[::-1], **recipe)
    assert [row.trajectory_id for row in again.candidates] == taken, "the order of reading does not matter"
