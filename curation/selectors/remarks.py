"""Reading discussions and mentions, as far as the caller may see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, Q, QuerySet, Subquery

from curation.models import Membership, Mention, Remark, Trajectory, User
from curation.permissions import Access, find_blind_trajectories, may_see_outcome
from curation.selectors.pages import take_page

REMARKS_AT_ONCE = 100
COUNTED = 100
"""Unseen mentions beyond this number are not told apart."""


@dataclass(frozen=True)
class Thread:
    """A part of a discussion, oldest first; `earlier` is the cursor of the part before it.

    Each remark has `unseen_mention`: the id of the mention by which the caller is named in it and has not seen yet.
    """

    hidden: bool = False
    remarks: Sequence[Remark] = ()
    earlier: str | None = None

    @property
    def state(self) -> str:
        """Differs where anything was added or removed in between."""
        if self.hidden:
            return "hidden"
        ends = [self.remarks[0].pk, self.remarks[-1].pk] if self.remarks else []
        return "-".join(map(str, [len(self.remarks), *ends]))

    @property
    def unseen(self) -> list[int]:
        """The caller's mentions in it that are new to them."""
        return [pk for remark in self.remarks if (pk := getattr(remark, "unseen_mention", None)) is not None]


@dataclass(frozen=True)
class MentionLine:
    """A mention as it is listed: who named the caller, and the text, empty where it is `hidden` from them as yet."""

    mention: Mention
    by: User | None
    text: str
    hidden: bool


def read_thread(access: Access, trajectory: Trajectory, *, cursor: str | None = None) -> Thread:
    """The newest part of the discussion of a trajectory, or the one before `cursor`. Raises BadCursor."""
    if not may_see_outcome(access, trajectory):
        return Thread(hidden=True)
    unseen = Mention.objects.filter(remark=OuterRef("pk"), user=access.user, seen_at=None)
    remarks = list_remarks(trajectory).annotate(unseen_mention=Subquery(unseen.values("pk")[:1]))
    page = take_page(remarks, order="-id", cursor=cursor, size=REMARKS_AT_ONCE)
    return Thread(remarks=page.rows[::-1], earlier=page.next)


def list_remarks(trajectory: Trajectory) -> QuerySet[Remark]:
    """Remarks with their authors; whether the caller may see them is for the caller to check."""
    return Remark.objects.filter(trajectory=trajectory).select_related("author")


def list_mentions(access: Access) -> QuerySet[Mention]:
    """The caller's mentions in the project. A review that was taken back mentions nobody until it is given again."""
    mine = Mention.objects.filter(user=access.user, trajectory__project=access.project)
    return mine.filter(Q(review=None) | Q(review__submitted_at__isnull=False))


def read_mentions(access: Access) -> QuerySet[Mention]:
    """The same mentions, with what their lines are made of."""
    related = list_mentions(access).select_related(
        "trajectory__task", "remark__author", "review__reviewer", "review__item"
    )
    return related.defer("trajectory__task__instruction")


def write_lines(access: Access, mentions: Sequence[Mention]) -> list[MentionLine]:
    """Lines of mentions as `read_mentions` gives them."""
    hidden = find_blind_trajectories(access, {mention.trajectory_id for mention in mentions})
    lines = []
    for mention in mentions:
        by, text = None, ""
        if mention.remark is not None:
            by, text = mention.remark.author, mention.remark.text
        elif mention.review is not None:
            by, text = mention.review.reviewer, mention.review.comment
        of_gold = mention.review is not None and mention.review.item is not None and mention.review.item.gold
        concealed = mention.trajectory_id in hidden or (of_gold and not access.is_curator)
        lines.append(MentionLine(mention, by, "" if concealed else text, concealed))
    return lines


def count_unseen(access: Access) -> int:
    """The caller's mentions that they have not seen, up to COUNTED."""
    return list_mentions(access).filter(seen_at=None)[:COUNTED].count()


def list_names(access: Access) -> list[str]:
    """The names by which members of the project can be mentioned."""
    members = Membership.objects.filter(project=access.project, user__is_active=True).exclude(user=access.user)
    return list(members.order_by("user__username").values_list("user__username", flat=True)[:1000])
