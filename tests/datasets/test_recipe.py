from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.holding_out import draw_lot, hold_out_tasks
from curation.recipe import RECIPES, dump_recipe, read_recipe
from curation.recipe_checks import RecipeError

shares = st.floats(0, 0.9)
tasks = st.dictionaries(st.text(max_size=4), st.sampled_from([None, 1, 2, 3, 4, 5]), max_size=60)


def fingerprint(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


@pytest.mark.parametrize("kind", RECIPES)
def test_a_recipe_of_every_kind_survives_being_stored(kind: str) -> None:
    stored = dump_recipe(
        read_recipe({"kind": kind, "band_weights": {"5": 2}, "evaluation": {"tasks": ["b", "a", "a"]}})
    )
    assert stored["evaluation"]["tasks"] == ["a", "b"]
    assert dump_recipe(read_recipe(stored)) == stored


def test_a_recipe_from_before_there_were_rules_means_what_it_meant() -> None:
    old = {"kind": "sft", "statuses": ["accepted"], "only_successes": True, "sources": [], "models": ["m"]}
    assert dump_recipe(read_recipe(old))["where"] == {
        "all": [
            {"rule": "status", "values": ["accepted"]},
            {"rule": "model", "values": ["m"]},
            {"rule": "outcome", "values": ["success"]},
        ]
    }
    assert dump_recipe(read_recipe({"kind": "dpo", "most_per_episode": 7}))["most_per_attempt"] == 7


@pytest.mark.parametrize(
    ("value", "field", "words"),
    [
        ({}, "kind", "kind"),
        ({"kind": "grpo"}, "kind", "grpo"),
        ({"kind": "sft", "held_out": 1.5}, "held_out", "0.9"),
        ({"kind": "sft", "where": {"rule": "status", "values": ["__class__"]}}, "where", "rule status: values"),
        ({"kind": "sft", "statuses": [], "where": {"all": []}}, "statuses", "not permitted"),
        ({"kind": "dpo", "minimum_strength": 4}, "minimum_strength", "1, 2 or 3"),
        ({"kind": "dpo", "instruction_share": 0.5}, "instruction_share", "not permitted"),
        ({"kind": "sft", "band_weights": {"6": 1}}, "band_weights.6", "'5'"),
        ({"kind": "sft", "band_weights": {"5": float("nan")}}, "band_weights.5", "number"),
        ({"kind": "sft", "target": "by-hand", "target_shares": {"1": 0.5}}, "target_shares", "add up to 0.5"),
        ({"kind": "sft", "target_shares": {"1": 1}}, "target_shares", "by hand only"),
        ({"kind": "sft", "reach": ["quotas"]}, "reach", "no target"),
        ({"kind": "sft", "target": "pool", "reach": ["quotas"], "quotas": {"1": 9}}, "quotas", "choose one"),
        (
            {"kind": "sft", "target": "pool", "reach": ["weights"], "band_weights": {"1": 9}},
            "band_weights",
            "choose one",
        ),
        ({"kind": "sft", "target": "uniform", "quotas": {"4": 0}}, "quotas", "Difficulty 4"),
        ({"kind": "sft", "quotas": dict.fromkeys("12345", 0)}, "quotas", "leaves nothing"),
        ({"kind": "sft", "least_weight": 2}, "least_weight", "1"),
    ],
)
def test_a_recipe_that_does_not_hold_is_refused_with_the_field(
    value: dict[str, object], field: str, words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        read_recipe(value)
    assert caught.value.field == field


def hold_out(bands: dict[str, int | None], *, seed: int = 0, share: float = 0.2) -> frozenset[str]:
    return hold_out_tasks(((fingerprint(text), band) for text, band in bands.items()), seed=seed, share=share)


@given(bands=tasks, more=tasks, seed=st.integers(0, 1000), share=shares)
def test_a_task_whose_lot_is_below_the_share_is_held_out_whatever_else_there_is(
    bands: dict[str, int | None], more: dict[str, int | None], seed: int, share: float
) -> None:
    below = {fingerprint(text) for text in bands if draw_lot(seed, fingerprint(text)) / 2**64 < share}
    assert below <= hold_out(bands, seed=seed, share=share)
    assert below <= hold_out(more | bands, seed=seed, share=share)


@given(bands=tasks, seed=st.integers(0, 1000), share=shares)
def test_each_band_holds_out_its_share_at_least(bands: dict[str, int | None], seed: int, share: float) -> None:
    held_out = hold_out(bands, seed=seed, share=share)
    for band in set(bands.values()):
        own = [fingerprint(text) for text, known in bands.items() if known == band]
        assert len(held_out & set(own)) >= int(share * len(own))


@given(bands=tasks, share=st.floats(0, 0.8))
def test_a_greater_share_keeps_what_was_held_out_already(bands: dict[str, int | None], share: float) -> None:
    assert hold_out(bands, share=share) <= hold_out(bands, share=share + 0.1)


def test_the_held_out_share_is_about_what_was_asked_for() -> None:
    held_out = hold_out({str(number): 1 + number % 5 for number in range(4000)}, share=0.25, seed=3)
    assert 950 < len(held_out) < 1100


def test_of_a_few_hard_tasks_some_are_held_out_with_every_seed() -> None:
    bands: dict[str, int | None] = {f"hard {number}": 5 for number in range(10)}
    assert all(len(hold_out(bands, seed=seed)) >= 2 for seed in range(200))


def test_tasks_with_the_same_text_are_one_whatever_their_bands() -> None:
    same = fingerprint("same")
    for seed in range(50):
        both = hold_out_tasks([(same, 1), (same, 5), (same, None)], seed=seed, share=0.5)
        assert both == hold_out_tasks([(same, 5)], seed=seed, share=0.5)
