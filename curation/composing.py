"""The dataset's own stage: split, caps, quotas, limits, general instruction data and weights. Pure.

What is held out is left as the filter took it, but for the caps: see curation.recipe.Recipe.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter

from curation.difficulty import BANDS
from curation.holding_out import draw_lot
from curation.quotas import divide_rows, list_unreachable, word_lack, word_shortfalls
from curation.recipe import DatasetRecipe, KTODatasetRecipe, PairRecipe
from curation.selection import Candidate, LeftOutRow, Overlap, Selection
from curation.weights import BandSum, weigh_bands

DATASET = "dataset"


def compose(
    recipe: DatasetRecipe,
    candidates: Sequence[Candidate],
    *,
    held_out: Collection[str],
    target: Mapping[int, float] | None,
    overlaps: Mapping[int, Overlap],
    instruction: Sequence[Candidate] = (),
) -> Selection:
    """What becomes of the candidates that passed the filter.

    `held_out` holds fingerprints, `target` the shares of the bands, `overlaps` the tasks, by id, that are too near to
    what models are measured on. The candidates are changed: side and weight are written into them.
    """
    composer = _Composer(recipe, dict(target) if target else None)
    for candidate in candidates:
        candidate.held_out = candidate.fingerprint in held_out
    kept = composer.leave_out_overlaps(candidates, overlaps)
    kept = composer.cap_attempts(kept)
    kept = composer.cap_tasks(kept)
    train = [candidate for candidate in kept if not candidate.held_out]
    train = composer.balance(train)
    train = composer.keep_quotas(train)
    train = composer.reach_quotas(train)
    train = composer.keep_limits(train)
    composer.weigh(train)
    mixed = composer.mix_instruction(train, [one for one in instruction if one.fingerprint not in held_out])
    composer.leave_out(
        (one for one in instruction if one.fingerprint in held_out), "general instruction data of a held-out task"
    )
    rows = [*train, *mixed, *(candidate for candidate in kept if candidate.held_out)]
    composer.selection.candidates = sorted(rows, key=lambda candidate: candidate.order)
    return composer.selection


def weigh_rows(recipe: DatasetRecipe, rows: Collection[Candidate], target: Mapping[int, float] | None) -> None:
    """Write the weights of training rows into them; those of general instruction data weigh 1."""
    known = [row for row in rows if not row.instruction]
    weights = weigh_bands(recipe, _sum_up(known), target)
    for row in known:
        row.weight = weights[row.band]


def _sum_up(rows: Iterable[Candidate]) -> dict[int | None, BandSum]:
    numbers: Counter[int | None] = Counter()
    tokens: dict[int | None, float] = defaultdict(float)
    for row in rows:
        numbers[row.band] += 1
        tokens[row.band] += row.tokens
    return {band: BandSum(number, tokens[band]) for band, number in numbers.items()}


class _Composer:
    def __init__(self, recipe: DatasetRecipe, target: dict[int, float] | None) -> None:
        self.recipe = recipe
        self.selection = Selection(target=target)

    def lot(self, candidate: Candidate) -> int:
        return draw_lot(self.recipe.seed, candidate.name)

    def leave_out(self, rows: Iterable[Candidate], reason: str) -> None:
        self.selection.left_out_rows += (
            LeftOutRow(row.trajectory_id, row.pair_id, row.task_id, row.band, row.tokens, DATASET, reason)
            for row in rows
        )

    def cut(self, rows: Sequence[Candidate], most: int, reason: str) -> list[Candidate]:
        """The first so many."""
        self.leave_out(rows[most:], reason)
        return list(rows[:most])

    def leave_out_overlaps(self, rows: Sequence[Candidate], overlaps: Mapping[int, Overlap]) -> list[Candidate]:
        kept, found = [], {}
        for row in rows:
            overlap = None if row.held_out else overlaps.get(row.task_id)
            if overlap is None:
                kept.append(row)
                continue
            found[row.task_id] = overlap
            how = "the text of" if overlap.similarity == 1 else "nearly the text of"
            self.leave_out([row], f"has {how} an evaluation task")
        self.selection.overlaps = sorted(found.values(), key=lambda overlap: (-overlap.similarity, overlap.task))
        return kept

    def cap_attempts(self, rows: list[Candidate]) -> list[Candidate]:
        """No attempt in more pairs than the recipe allows, the strongest first."""
        if not isinstance(self.recipe, PairRecipe) or self.recipe.most_per_attempt is None:
            return rows
        most, taken, kept = self.recipe.most_per_attempt, Counter[int | None](), []
        for row in sorted(rows, key=lambda row: (-row.first, self.lot(row))):
            sides = {row.chosen_trajectory_id, row.rejected_trajectory_id}
            if any(taken[side] >= most for side in sides):
                self.leave_out([row], f"more than {most} of one attempt")
            else:
                taken.update(sides)
                kept.append(row)
        return kept

    def cap_tasks(self, rows: list[Candidate]) -> list[Candidate]:
        most = self.recipe.most_per_task
        if most is None:
            return rows
        reason = f"more than {most} of one task"
        return [row for task in self._by_task(rows).values() for row in self.cut(task, most, reason)]

    def balance(self, rows: list[Candidate]) -> list[Candidate]:
        """KTO: at most so many of one kind for each of the other, as many as there are tasks for first."""
        if not isinstance(self.recipe, KTODatasetRecipe) or self.recipe.most_of_one is None:
            return rows
        kinds = {kind: [row for row in rows if row.desirable is kind] for kind in (True, False)}
        sizes = {kind: len(part) for kind, part in kinds.items()}
        kept = []
        for kind, part in kinds.items():
            most = int(self.recipe.most_of_one * sizes[not kind])
            reason = f"more {'desirable' if kind else 'undesirable'} rows than the balance allows"
            kept += self.cut(self._spread(part), most, reason)
        return kept

    def keep_quotas(self, rows: list[Candidate]) -> list[Candidate]:
        quotas = {int(band): most for band, most in self.recipe.quotas.items()}
        return self._cut_bands(rows, quotas, "more than the quota of difficulty {band}") if quotas else rows

    def reach_quotas(self, rows: list[Candidate]) -> list[Candidate]:
        """As many rows of each band as the target asks for; what cannot be reached becomes a problem."""
        shares, recipe = self.selection.target, self.recipe
        if not shares or not recipe.reach or not rows:
            return rows
        there = {band: sum(row.band == band for row in rows) for band in BANDS}
        if not any(there.values()):
            self.selection.problems.append(
                "No row has a known difficulty, so no target can be reached: difficulty comes from attempts with an "
                "outcome, or from people's grades."
            )
            return rows
        if "quotas" not in recipe.reach:
            for band in list_unreachable(there, shares):
                self.selection.problems.append(
                    f"Difficulty {band} should be {shares[band]:.2f} of the set, and no row of it is there."
                )
            return rows
        quotas = divide_rows(there, shares, size=recipe.most_rows)
        size = sum(quotas.rows.values())
        for lack in quotas.lacks:
            says = word_lack(recipe, lack, size=size)
            made_up = lack.there and "weights" in recipe.reach
            (self.selection.warnings if made_up else self.selection.problems).append(
                f"{says} Weights make up for it as far as their limits allow." if made_up else says
            )
        if quotas.scarcest is not None and size < len(rows):
            band = quotas.scarcest
            self.selection.warnings.append(
                f"The set has {size:,} rows, as many as difficulty {band} allows: {there[band]:,} of its rows are "
                f"there, and it should be {shares[band]:.2f} of the set."
            )
        known = [row for row in rows if row.band]
        self.leave_out((row for row in rows if not row.band), "of unknown difficulty, of which the target has no share")
        reason = "more of difficulty {band} than the target asks for"
        return self._cut_bands(known, {band: quotas.rows.get(band, 0) for band in BANDS}, reason)

    def keep_limits(self, rows: list[Candidate]) -> list[Candidate]:
        if self.recipe.most_rows is None and self.recipe.most_tokens is None:
            return rows
        rows = sorted(rows, key=self.lot)
        if self.recipe.most_rows is not None:
            rows = self.cut(rows, self.recipe.most_rows, f"more than {self.recipe.most_rows:,} rows")
        if self.recipe.most_tokens is None:
            return rows
        tokens = 0.0
        for place, row in enumerate(rows):
            tokens += row.tokens
            if tokens > self.recipe.most_tokens:  # the rest goes too: taking what still fits would favour short rows
                return self.cut(rows, place, f"more than {self.recipe.most_tokens:,} tokens")
        return rows

    def weigh(self, rows: list[Candidate]) -> None:
        weigh_rows(self.recipe, rows, self.selection.target)
        if not self.selection.target or "weights" not in self.recipe.reach:
            return
        reached: dict[int, float] = defaultdict(float)
        for row in rows:
            if row.band:
                reached[row.band] += row.weight * row.tokens
        if short := word_shortfalls(reached, self.selection.target):
            least, most = self.recipe.least_weight, self.recipe.most_weight
            self.selection.warnings.append(f"With weights from {least:g} to {most:g}, {short} of the tokens.")

    def mix_instruction(self, train: list[Candidate], instruction: list[Candidate]) -> list[Candidate]:
        """As much general instruction data, by lot, as comes nearest to its share of the tokens without passing it."""
        share = getattr(self.recipe, "instruction_share", 0.0)
        wanted = share / (1 - share) * sum(row.weight * row.tokens for row in train)
        drawn = sorted(instruction, key=self.lot)
        tokens, place = 0.0, 0
        while place < len(drawn) and tokens + drawn[place].tokens <= wanted:
            tokens += drawn[place].tokens
            place += 1
        if share and place == len(drawn) and tokens < 0.99 * wanted:
            self.selection.problems.append(
                f"General instruction data should be {share:.2f} of the tokens, for which {wanted:,.0f} tokens are "
                f"needed, and {tokens:,.0f} are there."
            )
        return self.cut(drawn, place, "general instruction data over its share")

    def _by_task(self, rows: Iterable[Candidate]) -> dict[int, list[Candidate]]:
        """The rows of each task, those that go first in front."""
        tasks: dict[int, list[Candidate]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: (-row.first, self.lot(row))):
            tasks[row.task_id].append(row)
        return tasks

    def _spread(self, rows: Iterable[Candidate]) -> list[Candidate]:
        """By lot, but each task's first row before any second one: what stays is of as many tasks as can be."""
        places = [
            (place, self.lot(row), row) for task in self._by_task(rows).values() for place, row in enumerate(task)
        ]
        return [row for _, _, row in sorted(places, key=itemgetter(0, 1))]

    def _cut_bands(self, rows: list[Candidate], most: Mapping[int, int], reason: str) -> list[Candidate]:
        kept = []
        for band in {row.band for row in rows}:
            part = [row for row in rows if row.band == band]
            if band is not None and band in most:
                part = self.cut(self._spread(part), most[band], reason.format(band=band))
            kept += part
        return kept
