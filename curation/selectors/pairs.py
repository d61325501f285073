"""Reading pairs: lists without documents, the next one to judge, and what a reviewer may know of a pair."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.fields import CharField, SmallIntegerField
from django.db.models.functions import MD5, Cast, Coalesce, Concat

from curation.models import Judgement, PreferencePair
from curation.permissions import Access


def list_pairs(access: Access) -> QuerySet[PreferencePair]:
    """The project's pairs with `judgement_count`, and `judged_by_me`: who has not judged may not see which side won."""
    mine = Judgement.objects.filter(pair=OuterRef("pk"), reviewer=access.user)
    pairs = PreferencePair.objects.filter(project=access.project).select_related("task")
    pairs = pairs.select_related("chosen__trajectory", "rejected__trajectory")
    pairs = pairs.defer("chosen__document", "rejected__document", "task__instruction")
    return pairs.annotate(judgement_count=Count("judgements"), judged_by_me=Exists(mine))


def count_statuses(access: Access) -> list[tuple[str, str, int]]:
    """Every status with its label and the number of the project's pairs in it."""
    rows = PreferencePair.objects.filter(project=access.project).values("status").annotate(n=Count("id")).order_by()
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


def find_judgement(access: Access, pair: PreferencePair) -> Judgement | None:
    """The caller's own judgement of a pair."""
    return Judgement.objects.filter(pair=pair, reviewer=access.user).first()


def find_last_judgement(access: Access) -> Judgement | None:
    """The caller's newest judgement in the project."""
    return Judgement.objects.filter(pair__project=access.project, reviewer=access.user).order_by("-pk").first()


def list_judgements(pair: PreferencePair) -> QuerySet[Judgement]:
    return pair.judgements.select_related("reviewer").order_by("pk")


def _put_in_order(pairs: QuerySet[PreferencePair], access: Access) -> QuerySet[Any]:
    lot = MD5(Concat(Cast(F("pk"), CharField()), Value(f":{access.user.pk}"), output_field=CharField()))
    hardness = Coalesce(F("task__band"), Value(0), output_field=SmallIntegerField())
    return pairs.annotate(hardness=hardness, lot=lot)
