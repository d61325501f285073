from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.recipe import (
    DPODatasetRecipe,
    RecipeError,
    SFTDatasetRecipe,
    dump_recipe,
    is_held_out,
    read_recipe,
    weigh_bands,
)


def fingerprint(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def test_a_recipe_survives_being_stored() -> None:
    recipe = read_recipe({"kind": "sft", "statuses": ["unsure", "accepted", "accepted"], "band_weights": {"5": 2}})
    stored = dump_recipe(recipe)
    assert stored["statuses"] == ["accepted", "unsure"]
    assert dump_recipe(read_recipe(stored)) == stored


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "kind"),
        ({"kind": "grpo"}, "kind"),
        ({"kind": "sft", "held_out": 1.5}, "held_out"),
        ({"kind": "sft", "statuses": []}, "statuses"),
        ({"kind": "sft", "statuses": ["__class__"]}, "statuses.0"),
        ({"kind": "dpo", "minimum_strength": 4}, "minimum_strength"),
        ({"kind": "dpo", "statuses": ["accepted"]}, "statuses"),
        ({"kind": "sft", "band_weights": {"6": 1}}, "band_weights"),
        ({"kind": "sft", "band_weights": {"5": float("nan")}}, "band_weights"),
    ],
)
def test_a_recipe_that_does_not_hold_is_refused_with_the_field(value: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        read_recipe(value)


@given(seed=st.integers(0, 1000), share=st.floats(0, 0.9), text=st.text())
def test_a_task_is_on_the_same_side_in_every_dataset_with_the_same_seed(seed: int, share: float, text: str) -> None:
    sft, dpo = SFTDatasetRecipe(seed=seed, held_out=share), DPODatasetRecipe(seed=seed, held_out=share)
    assert is_held_out(sft, fingerprint(text)) == is_held_out(dpo, fingerprint(text))


@given(share=st.floats(0, 0.8), text=st.text())
def test_a_greater_share_keeps_what_was_held_out_already(share: float, text: str) -> None:
    smaller, greater = SFTDatasetRecipe(held_out=share), SFTDatasetRecipe(held_out=share + 0.1)
    assert not is_held_out(smaller, fingerprint(text)) or is_held_out(greater, fingerprint(text))


def test_the_held_out_share_is_about_what_was_asked_for() -> None:
    recipe = SFTDatasetRecipe(held_out=0.25, seed=3)
    held_out = sum(is_held_out(recipe, fingerprint(number)) for number in range(4000))
    assert 900 < held_out < 1100


@given(
    bands=st.lists(st.sampled_from([None, 1, 2, 3, 4, 5]), min_size=1, max_size=40),
    chosen=st.dictionaries(st.sampled_from("12345"), st.floats(0.1, 10)),
)
def test_the_mean_weight_of_the_rows_is_one(bands: list[int | None], chosen: dict[str, float]) -> None:
    weights = weigh_bands(read_recipe({"kind": "sft", "band_weights": chosen}), bands)
    assert sum(weights[band] for band in bands) / len(bands) == pytest.approx(1)
