"""What a dataset is made of, and which side of the split a task is on. Pure: the same recipe on the same data gives
the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

TrajectoryStatus = Literal["unreviewed", "accepted", "rejected", "unsure", "disputed"]
TrajectorySource = Literal["expert", "strong-model", "self-exploration", "multi-agent", "human"]
Band = Literal["1", "2", "3", "4", "5"]
BandWeight = Annotated[float, Field(ge=0.1, le=10, allow_inf_nan=False)]


class _Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid")

    held_out: float = Field(
        0.2,
        ge=0,
        le=0.9,
        title="Held-out share",
        description="Share of the tasks kept for measuring, 0 to 0.9. All attempts at a task are on the same side.",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Decides which tasks are held out, and who stays under a cap. Datasets with the same seed and "
        "share hold out the same tasks.",
    )
    band_weights: dict[Band, BandWeight] = Field(
        default_factory=dict,
        title="Weights by difficulty",
        description="How much a row of each band counts in the loss, 0.1 to 10, against 1 for bands left empty; "
        "scaled so that the training rows' mean is 1.",
    )


class SFTDatasetRecipe(_Recipe):
    """Rows are trajectories, each in its newest revision."""

    kind: Literal["sft"] = "sft"
    statuses: list[TrajectoryStatus] = Field(
        ["accepted"],
        min_length=1,
        title="Review status",
        description="Trajectories with one of these are taken.",
    )
    only_successes: bool = Field(
        False,
        title="Only recorded successes",
        description="Leave out attempts whose recorded outcome is not a success, corrected ones included.",
    )
    most_per_task: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Most per task",
        description="At most this many attempts at one task; successes go first. Empty: no limit.",
    )
    sources: list[TrajectorySource] = Field(
        default_factory=list, title="Sources", description="Only these sources; none chosen: all."
    )
    models: list[str] = Field(
        default_factory=list, max_length=100, title="Models", description="Only these agents' models; none chosen: all."
    )
    skip_wrong_steps: bool = Field(
        True,
        title="No loss on wrong steps",
        description="Steps that a reviewer labelled wrong stay in the conversation, but are not trained on; what a "
        "reviewer wrote in their place is.",
    )


class DPODatasetRecipe(_Recipe):
    """Rows are confirmed pairs."""

    kind: Literal["dpo"] = "dpo"
    minimum_strength: Literal[1, 2, 3] = Field(
        1, title="Least strength", description="1 slightly better, 2 better, 3 much better: weaker pairs are left out."
    )
    most_per_episode: int | None = Field(
        3,
        ge=1,
        le=1000,
        title="Most pairs per attempt",
        description="At most this many pairs that one attempt takes part in, strongest first. Many pairs of few "
        "attempts are known to ruin a policy. Empty: no limit.",
    )


DatasetRecipe = SFTDatasetRecipe | DPODatasetRecipe
_RECIPE: TypeAdapter[SFTDatasetRecipe | DPODatasetRecipe] = TypeAdapter(
    Annotated[SFTDatasetRecipe | DPODatasetRecipe, Field(discriminator="kind")]
)


class RecipeError(ValueError):
    """A recipe that does not hold together; the text names the field and what is wrong."""


def read_recipe(value: Mapping[str, Any] | DatasetRecipe) -> DatasetRecipe:
    """The recipe in `value`, as stored or as sent by somebody. Raises RecipeError."""
    try:
        return _RECIPE.validate_python(value if isinstance(value, BaseModel) else dict(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("sft", "dpo")) or "kind"
        raise RecipeError(f"{place}: {first['msg']}") from None


def dump_recipe(recipe: DatasetRecipe) -> dict[str, Any]:
    """The plain form that is stored: every field, lists sorted, so that equal choices are equal."""
    plain = recipe.model_dump(mode="json")
    return {name: sorted(set(value)) if isinstance(value, list) else value for name, value in plain.items()}


def is_held_out(recipe: DatasetRecipe, fingerprint: str) -> bool:
    """Whether a task is on the held-out side: decided by its text and the seed alone, for every dataset alike."""
    digest = hashlib.sha256(f"{recipe.seed}:{fingerprint}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < recipe.held_out


def draw_lot(recipe: DatasetRecipe, name: str) -> str:
    """A fixed random place in line for something named: who goes first where a cap leaves some out."""
    return hashlib.sha256(f"{recipe.seed}:{name}".encode()).hexdigest()


def weigh_bands(recipe: DatasetRecipe, bands: Iterable[int | None]) -> dict[int | None, float]:
    """The weight of a training row of each band, given the bands of all of them; the rows' mean is 1."""
    rows = list(bands)
    chosen = {int(band): weight for band, weight in recipe.band_weights.items()}
    raw = {band: chosen.get(band, 1.0) if band else 1.0 for band in set(rows)}
    mean = sum(raw[band] for band in rows) / len(rows) if rows else 1.0
    return {band: weight / mean for band, weight in raw.items()}


def hash_content(recipe: Mapping[str, Any], *, train_sha256: str, eval_sha256: str) -> str:
    """SHA-256 (hex) over the recipe and both files: what a version is."""
    content = {"recipe": recipe, "train": train_sha256, "eval": eval_sha256}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
