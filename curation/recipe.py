"""What a dataset is made of. Pure: the same recipe on the same data gives the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from curation.recipe_checks import RecipeError, check_recipe
from curation.rules import AllOf, ModelRule, OutcomeRule, Rule, RuleError, SourceRule, StatusRule, dump_rule, read_rule

Band = Literal["1", "2", "3", "4", "5"]
BandWeight = Annotated[float, Field(ge=0.1, le=10, allow_inf_nan=False)]
BandShare = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
BandQuota = Annotated[int, Field(ge=0, le=10_000_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FilterOrigin(_Part):
    """The saved filter that rules of a recipe were taken from: the recipe holds the rules themselves."""

    name: str = Field(max_length=120)
    version: int = Field(ge=1)


class Evaluation(_Part):
    """Tasks that models are measured on, named in any of these ways; none of them is to be trained on."""

    tasks: list[Name] = Field(
        default_factory=list, max_length=10_000, title="Tasks", description="Keys of tasks, one a line."
    )
    tags: list[Name] = Field(
        default_factory=list, max_length=100, title="Tags", description="Tasks of trajectories with one of these tags."
    )
    benchmarks: list[Name] = Field(
        default_factory=list, max_length=100, title="Benchmarks", description="Tasks that their files say are of these."
    )
    datasets: list[Annotated[int, Field(ge=1, lt=2**62)]] = Field(
        default_factory=list,
        max_length=100,
        title="Held-out sides",
        description="Tasks that the newest frozen version of another dataset holds out.",
    )
    similarity: float | None = Field(
        0.8,
        ge=0.5,
        le=1,
        title="Near text",
        description="Leave out tasks whose text is so similar to one of them, too: 0.5 to 1, the share of three-word "
        "pieces in common. Empty: only the same text.",
    )

    @property
    def is_named(self) -> bool:
        return bool(self.tasks or self.tags or self.benchmarks or self.datasets)


class Recipe(_Part):
    """What every kind has. Everything but `where`, `revisions`, `most_per_task` and the split is about the rows to
    train on: what is held out is left as the filter took it, so that it measures the same whatever is changed here."""

    where: Rule = Field(default_factory=lambda: AllOf(all=[]), title="Filter")
    filter: FilterOrigin | None = None
    revisions: Literal["latest", "accepted", "corrected"] = Field(
        "latest",
        title="Revisions",
        description="The newest of each trajectory; the newest that a decision or a review accepts; or only "
        "trajectories that somebody corrected.",
    )
    held_out: float = Field(
        0.2,
        ge=0,
        le=0.9,
        title="Held-out share",
        description="Share of the tasks of each difficulty kept for measuring, 0 to 0.9. All attempts at a task are on "
        "the same side.",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Decides which tasks are held out, and who stays where a limit leaves some out. Datasets with the "
        "same seed and share hold out the same tasks.",
    )
    most_per_task: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Most per task",
        description="At most so many rows of one task; successes go first. Empty: no limit.",
    )
    target: Literal["none", "project", "pool", "uniform", "by-hand"] = Field(
        "none", title="Target", description="The share that each difficulty should have of what is trained on."
    )
    target_shares: dict[Band, BandShare] = Field(
        default_factory=dict, title="Shares by hand", description="Of the target; they add up to 1."
    )
    reach: list[Literal["quotas", "weights"]] = Field(
        default_factory=list,
        title="Reach it by",
        description="Quotas leave rows out until each difficulty has its share of the rows; weights make up for what "
        "is missing of its share of the tokens. Neither: the target is only measured against.",
    )
    quotas: dict[Band, BandQuota] = Field(
        default_factory=dict, title="Most rows by difficulty", description="Left empty: no limit for that difficulty."
    )
    band_weights: dict[Band, BandWeight] = Field(
        default_factory=dict,
        title="Weights by difficulty",
        description="How much a row of each difficulty counts in the loss, 0.1 to 10, against 1 where left empty; "
        "scaled so that the training rows' mean is 1.",
    )
    least_weight: float = Field(
        0.25, ge=0.01, le=1, title="Least weight", description="A weight that reaches the target is never below this."
    )
    most_weight: float = Field(
        4.0, ge=1, le=100, title="Greatest weight", description="A weight that reaches the target is never above this."
    )
    evaluation: Evaluation = Field(default_factory=Evaluation)
    most_rows: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        title="Most rows",
        description="To train on, drawn by lot. With quotas for a target: the size of the set. Empty: no limit.",
    )
    most_tokens: int | None = Field(
        None,
        ge=1,
        le=10**12,
        title="Most tokens",
        description="Of the agent's own turns, to train on, estimated as characters / 4. Empty: no limit.",
    )


class _OfTrajectories(Recipe):
    skip_wrong_steps: bool = Field(
        True,
        title="No loss on wrong steps",
        description="Steps that a reviewer labelled wrong stay in the conversation, but are not trained on; what a "
        "reviewer wrote in their place is.",
    )


class _WithInstruction(_OfTrajectories):
    instruction_share: float = Field(
        0,
        ge=0,
        le=0.9,
        title="General instruction data",
        description="Its share of the tokens trained on, 0 to 0.9: drawn by lot from trajectories whose source is "
        "general instruction data and that nobody rejected.",
    )


def _accepted(*more: Literal["rejected"]) -> AllOf:
    return AllOf(all=[StatusRule(values=["accepted", *more])])


class SFTDatasetRecipe(_WithInstruction):
    """Rows are trajectories."""

    kind: Literal["sft"] = "sft"
    where: Rule = Field(default_factory=_accepted, title="Filter")


class PromptCompletionDatasetRecipe(_WithInstruction):
    """Rows are the agent's turns, each with all that came before it."""

    kind: Literal["prompt-completion"] = "prompt-completion"
    where: Rule = Field(default_factory=_accepted, title="Filter")


class KTODatasetRecipe(_OfTrajectories):
    """Rows are trajectories: the accepted desirable, the rejected undesirable."""

    kind: Literal["kto"] = "kto"
    where: Rule = Field(default_factory=lambda: _accepted("rejected"), title="Filter")
    most_of_one: float | None = Field(
        None,
        ge=1,
        le=100,
        title="Balance",
        description="At most so many desirable rows for each undesirable one, and the other way round; the rest is "
        "left out by lot. 1: as many of both. Empty: as they are.",
    )


class _PairRecipe(Recipe):
    """Rows are confirmed pairs; `where` and `revisions` are put to the trajectory that was preferred."""

    minimum_strength: Literal[1, 2, 3] = Field(
        1, title="Least strength", description="1 slightly better, 2 better, 3 much better: weaker pairs are left out."
    )
    most_per_attempt: int | None = Field(
        3,
        ge=1,
        le=1000,
        title="Most pairs per attempt",
        description="At most so many pairs that one attempt takes part in, strongest first. Many pairs of few "
        "attempts are known to ruin a policy. Empty: no limit.",
    )
    turns: Literal["both", "whole", "single"] = Field(
        "both",
        title="Pairs of",
        description="Whole continuations after the shared steps, single turns, or both.",
    )
    without_warnings: list[Literal["length", "equal", "fingerprint", "tools"]] = Field(
        default_factory=list, title="Leave out pairs where", description="None chosen: none is left out."
    )


class DPODatasetRecipe(_PairRecipe):
    kind: Literal["dpo"] = "dpo"


class RewardDatasetRecipe(_PairRecipe):
    kind: Literal["reward"] = "reward"


TrajectoryRecipe = SFTDatasetRecipe | PromptCompletionDatasetRecipe | KTODatasetRecipe
PairRecipe = DPODatasetRecipe | RewardDatasetRecipe
DatasetRecipe = TrajectoryRecipe | PairRecipe
RECIPES: dict[str, type[DatasetRecipe]] = {
    "sft": SFTDatasetRecipe,
    "prompt-completion": PromptCompletionDatasetRecipe,
    "dpo": DPODatasetRecipe,
    "kto": KTODatasetRecipe,
    "reward": RewardDatasetRecipe,
}
_RECIPE: TypeAdapter[DatasetRecipe] = TypeAdapter(Annotated[DatasetRecipe, Field(discriminator="kind")])


def read_recipe(value: Mapping[str, Any] | DatasetRecipe) -> DatasetRecipe:
    """The recipe in `value`, as stored or as sent by somebody. Raises RecipeError."""
    plain = dump_recipe(value) if isinstance(value, Recipe) else _lift(dict(value))
    if isinstance(plain.get("where"), Mapping):
        try:
            plain["where"] = read_rule(plain["where"])
        except RuleError as error:
            raise RecipeError("where", str(error)) from None
    try:
        recipe = _RECIPE.validate_python(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part not in RECIPES and part != "[key]")
        raise RecipeError(place or "kind", first["msg"]) from None
    check_recipe(recipe)
    return recipe


def dump_recipe(recipe: DatasetRecipe) -> dict[str, Any]:
    """The plain form that is stored: every field, lists sorted, so that equal choices are equal."""
    plain: dict[str, Any] = _sort(recipe.model_dump(mode="json", exclude={"where"}))
    return plain | {"where": dump_rule(recipe.where)}


def _sort(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sort(part) for name, part in value.items()}
    return sorted(set(value)) if isinstance(value, list) else value


def _lift(plain: dict[str, Any]) -> dict[str, Any]:
    """A recipe from before there were rules: its four conditions as rules, and the old name of a limit.

    Frozen versions keep theirs as it was.
    """
    if plain.get("kind") not in ("sft", "dpo") or "where" in plain:
        return plain
    rules: list[dict[str, Any]] = []
    for name, rule in (("statuses", StatusRule), ("sources", SourceRule), ("models", ModelRule)):
        if name in plain:
            values = plain.pop(name)
            rules += [{"rule": rule.model_fields["rule"].default, "values": values}] if values != [] else []
    if plain.pop("only_successes", False):
        rules.append(dump_rule(OutcomeRule(values=["success"])))
    if "most_per_episode" in plain:
        plain["most_per_attempt"] = plain.pop("most_per_episode")
    return plain | {"where": {"all": rules}} if rules else plain


def hash_content(recipe: Mapping[str, Any], sides: Mapping[str, Iterable[str]]) -> str:
    """SHA-256 (hex) over the recipe and what is in each row of both sides, whatever the order of the rows."""
    canonical = json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(canonical.encode("ascii"))
    for side in sorted(sides):
        digest.update(f"\n{side}".encode("ascii"))
        for row in sorted(sides[side]):
            digest.update(f"\n {row}".encode("ascii"))
    return digest.hexdigest()
