"""Reading pairs: lists without documents, the next one to judge, and what a reviewer may know of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.fields import CharField, SmallIntegerField
from django.db.models.functions import MD5, Cast, Coalesce, Concat

from curation.models import Judgement, PairSearch, PreferencePair, Queue, QueueItem
from curation.permissions import Access
from curation.statistics import wilson_interval

TELLING = frozenset([PreferencePair.Warning.LENGTH])
"""Warnings that say something of the sides: kept from reviewers until they have judged."""

# One pass over narrow rows. A pair without lengths was made before they were kept.
LENGTH_BIAS = """
SELECT grouping(task.band), task.band, count(*) FILTER (WHERE chosen_characters <> rejected_characters),
    count(*) FILTER (WHERE chosen_characters > rejected_characters),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY ln(chosen_characters::float / rejected_characters))
FROM curation_preferencepair AS pair JOIN curation_task AS task ON task.id = pair.task_id
WHERE pair.project_id = %s AND pair.status = 'confirmed' AND chosen_characters > 0 AND rejected_characters > 0
GROUP BY GROUPING SETS ((), (task.band)) ORDER BY 1, 2
"""


@dataclass(frozen=True)
class LengthBias:
    """How often the chosen side of confirmed pairs is the longer one, with a 95 % interval, and by how much.

    `pairs` counts those whose sides are not equally long; `median_ratio` is the chosen side's length over the
    rejected one's, e to the median of the logarithms. Without bias the share is one half, and the ratio 1.
    """

    pairs: int
    longer: int
    median_ratio: float

    @property
    def share(self) -> float:
        return self.longer / self.pairs

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.longer, self.pairs)

    @property
    def is_biased(self) -> bool:
        """Whether the share is surely not one half."""
        low, high = self.interval
        return not low <= 0.5 <= high

    @property
    def percent(self) -> dict[str, int]:
        """The share and its interval in whole per cent."""
        low, high = self.interval
        return {name: round(100 * value) for name, value in (("share", self.share), ("low", low), ("high", high))}


def list_pairs(access: Access) -> QuerySet[PreferencePair]:
    """The project's pairs with `judgement_count`, and `judged_by_me`: who has not judged may not see which side won.

    Where `kept_back`, they may not know either what others' judgements came to: status, strength and confidence.
    """
    mine = Judgement.objects.filter(pair=OuterRef("pk"), reviewer=access.user)
    pairs = PreferencePair.objects.filter(project=access.project).select_related("task")
    pairs = pairs.annotate(kept_back=_is_kept_back(access))
    pairs = pairs.select_related("chosen__trajectory", "rejected__trajectory")
    pairs = pairs.defer("chosen__document", "rejected__document", "task__instruction")
    return pairs.annotate(judgement_count=Count("judgements"), judged_by_me=Exists(mine))


def count_statuses(access: Access) -> list[tuple[str, str, int]]:
    """Every status with its label and the number of the project's pairs in it, as far as the caller may know it."""
    known = PreferencePair.objects.filter(project=access.project).exclude(_is_kept_back(access))
    rows = known.values("status").annotate(n=Count("id")).order_by()
    counts = {row["status"]: row["n"] for row in rows}
    return [(value, label, counts.get(value, 0)) for value, label in PreferencePair.Status.choices]


def find_next_pair(access: Access, *, after: PreferencePair | None = None) -> PreferencePair | None:
    """The next proposed pair that the caller has not judged, hard bands first; `after` skips up to that pair.

    Within a band everybody has their own fixed order, so that two people seldom meet at a pair; where they do, both
    judgements count.
    """
    open_pairs = PreferencePair.objects.filter(project=access.project, status=PreferencePair.Status.PROPOSED)
    open_pairs = open_pairs.exclude(judgements__reviewer=access.user)
    ordered = _put_in_order(open_pairs, access).order_by("-hardness", "lot", "pk")
    if after is not None:
        here: Any = _put_in_order(PreferencePair.objects.filter(pk=after.pk), access).get()
        later = Q(hardness__lt=here.hardness) | Q(hardness=here.hardness, lot__gt=here.lot)
        found: PreferencePair | None = ordered.filter(later).first() or ordered.exclude(pk=after.pk).first()
        return found
    first: PreferencePair | None = ordered.first()
    return first


def count_open_pairs(access: Access) -> int:
    """Proposed pairs that the caller has not judged."""
    open_pairs = PreferencePair.objects.filter(project=access.project, status=PreferencePair.Status.PROPOSED)
    return open_pairs.exclude(judgements__reviewer=access.user).count()


def may_see_sides(access: Access, pair: PreferencePair) -> bool:
    """Whether somebody may know of this pair, as list_pairs gives it, what it is proposed for: not before judging."""
    return not access.is_reviewer or bool(getattr(pair, "judged_by_me", False))


def may_see_result(pair: PreferencePair) -> bool:
    """Whether the caller may know what others' judgements of this pair, as list_pairs gives it to them, came to."""
    return not getattr(pair, "kept_back", True)


def list_warnings(access: Access, pair: PreferencePair) -> list[PreferencePair.Warning]:
    """A pair's warnings, as list_pairs gives it, without those that the caller may not know yet."""
    known = may_see_sides(access, pair)
    return [PreferencePair.Warning(name) for name in pair.warnings if known or name not in TELLING]


def may_see_bias(access: Access) -> bool:
    """Whether somebody may know which side of confirmed pairs is longer: not those who only judge."""
    return access.is_curator or not access.is_reviewer


def measure_length_bias(access: Access) -> dict[int | str | None, LengthBias]:
    """The length bias of the whole set, under "all", and by band; what has no pair of known lengths is left out."""
    with connection.cursor() as cursor:
        cursor.execute(LENGTH_BIAS, [access.project.pk])
        found = cursor.fetchall()
    return {
        band if whole == 0 else "all": LengthBias(pairs=pairs, longer=longer, median_ratio=exp(median))
        for whole, band, pairs, longer, median in found
        if pairs
    }


def find_last_search(access: Access) -> PairSearch | None:
    """The project's newest search for pairs."""
    return PairSearch.objects.filter(project=access.project).order_by("-pk").first()


def find_judgement(access: Access, pair: PreferencePair) -> Judgement | None:
    """The caller's own judgement of a pair: of several the one that counts."""
    mine = Judgement.objects.filter(pair=pair, reviewer=access.user)
    return mine.order_by("-decides", F("item__gold").asc(nulls_first=True), "-pk").first()


def find_last_judgement(access: Access, *, queue: Queue | None = None) -> Judgement | None:
    """The caller's newest judgement in the project, or in one queue: what undo takes back."""
    mine = Judgement.objects.filter(pair__project=access.project, reviewer=access.user).select_related("pair")
    if queue is not None:
        mine = mine.filter(item__queue=queue)
    return mine.order_by("-pk").first()


def list_judgements(pair: PreferencePair) -> QuerySet[Judgement]:
    return pair.judgements.select_related("reviewer").order_by("pk")


def _is_kept_back(access: Access) -> Q:
    """Whether others' judgements of a pair are kept from the caller: a reviewer, no curator, who has yet to judge it,
    where it is in a blind queue."""
    if access.is_curator or not access.is_reviewer:
        return Q(pk=None)
    blind = QueueItem.objects.filter(pair=OuterRef("pk"), queue__blind=True)
    mine = Judgement.objects.filter(pair=OuterRef("pk"), reviewer=access.user)
    return Q(Exists(blind)) & ~Q(Exists(mine))


def _put_in_order(pairs: QuerySet[PreferencePair], access: Access) -> QuerySet[Any]:
    lot = MD5(Concat(Cast(F("pk"), CharField()), Value(f":{access.user.pk}"), output_field=CharField()))
    hardness = Coalesce(F("task__band"), Value(0), output_field=SmallIntegerField())
    return pairs.annotate(hardness=hardness, lot=lot)
