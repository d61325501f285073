"""What settles a trajectory: a curator's decision where one stands, else its reviews. Status and difficulty follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from curation.formats.cleaning import clean_text
from curation.models import BulkAction, Decision, Project, QueueItem, Review, Revision, Role, Trajectory
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.difficulty import update_difficulty
from curation.services.queue_items import follow_statuses

# The rows are locked first, so that of two reviews submitted at once the later one counts with the earlier in view.
# An array in a subselect: the planner cannot count its ids, so that it keeps one plan, and does not make one each time.
LOCK = """
SELECT id, task_id FROM curation_trajectory
WHERE project_id = %s AND id = ANY ((SELECT %s::bigint[])::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""
SETTLE = """
UPDATE curation_trajectory AS trajectory SET status = fresh.status
FROM (
    SELECT settled.id,
        CASE coalesce(decided.verdict, reviewed.verdict)
            WHEN 'accept' THEN 'accepted' WHEN 'reject' THEN 'rejected' WHEN 'unsure' THEN 'unsure'
            WHEN 'differ' THEN 'disputed' ELSE 'unreviewed' END AS status
    FROM unnest((SELECT %s::bigint[])) AS settled(id)
    LEFT JOIN LATERAL (
        SELECT verdict FROM curation_decision
        WHERE trajectory_id = settled.id AND withdrawn_at IS NULL ORDER BY id DESC LIMIT 1
    ) AS decided ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN count(DISTINCT verdict) FILTER (WHERE verdict <> 'unsure') > 1 THEN 'differ'
            ELSE coalesce(min(verdict) FILTER (WHERE verdict <> 'unsure'), min(verdict)) END AS verdict
        FROM curation_review AS review LEFT JOIN curation_queueitem AS item ON item.id = review.item_id
        WHERE review.trajectory_id = settled.id AND review.submitted_at IS NOT NULL AND item.gold IS NOT TRUE
    ) AS reviewed
) AS fresh
WHERE trajectory.id = fresh.id AND trajectory.status <> fresh.status RETURNING trajectory.task_id
"""


def decide_trajectory(
    access: Access,
    trajectory: Trajectory,
    *,
    verdict: str,
    grade: int | None = None,
    comment: str = "",
    item: QueueItem | None = None,
) -> Decision:
    """Decide a trajectory's newest revision, whatever its reviews say. Raises ValueError for a bad verdict or grade."""
    access.require(Role.CURATOR)
    if verdict not in Review.Verdict.values:
        raise ValueError("Choose a verdict: accept, reject or unsure.")
    if grade is not None and not 1 <= grade <= 5:
        raise ValueError("Difficulty is a whole number from 1 to 5.")
    with transaction.atomic():
        locked = Trajectory.objects.select_for_update(no_key=True).get(pk=trajectory.pk, project=access.project)
        decision = Decision.objects.create(
            trajectory=locked,
            revision=Revision.objects.only("pk").get(trajectory=locked, number=locked.head_number),
            item=item,
            verdict=verdict,
            grade=grade,
            comment=clean_text(comment)[0].strip(),
            decided_by=access.user,
        )
        settle_trajectories(access.project, [trajectory.pk])
        record_action(access, "trajectory.decide", trajectory.pk, verdict=verdict, grade=grade)
    return decision


def decide_in_bulk(bulk: BulkAction, trajectory_ids: Sequence[int], *, verdict: str, comment: str = "") -> None:
    """Decide the newest revisions of many trajectories as part of a bulk action.

    Their status follows. Their difficulty has no need to, since no grade is given; the order of queues is left to the
    end of the action, since it takes longer than all the rest. The caller holds a transaction and the trajectories'
    rows, so that none is corrected meanwhile.
    """
    heads = Revision.objects.filter(trajectory__in=trajectory_ids, number=F("trajectory__head_number"))
    Decision.objects.bulk_create(
        Decision(
            trajectory_id=trajectory,
            revision_id=pk,
            verdict=verdict,
            comment=comment,
            bulk=bulk,
            decided_by_id=bulk.created_by_id,
        )
        for pk, trajectory in heads.order_by("trajectory_id").values_list("pk", "trajectory_id")
    )
    _settle_statuses(bulk.project, trajectory_ids)


def withdraw_bulk_decisions(bulk: BulkAction, trajectory_ids: Sequence[int]) -> list[int]:
    """Take back what a bulk action decided of these; the decision before it, or the reviews, count again.

    What follows is as for deciding. Returns the trajectories whose decision still stood. The caller holds a
    transaction and the trajectories' rows.
    """
    standing = Decision.objects.filter(bulk=bulk, trajectory__in=trajectory_ids, withdrawn_at=None)
    taken_back = list(standing.values_list("trajectory_id", flat=True))
    standing.update(withdrawn_at=Now())
    _settle_statuses(bulk.project, taken_back)
    return taken_back


def withdraw_decision(access: Access, decision: Decision) -> bool:
    """Take a decision back. False where it was taken back already."""
    access.require(Role.CURATOR)
    with transaction.atomic():
        if not Decision.objects.filter(pk=decision.pk, withdrawn_at=None).update(withdrawn_at=Now()):
            return False
        settle_trajectories(access.project, [decision.trajectory_id])
        record_action(access, "decision.withdraw", decision.pk, trajectory=decision.trajectory_id)
    return True


def settle_trajectories(project: Project, trajectory_ids: Iterable[int]) -> None:
    """Set the status of these trajectories of a project, and the difficulty of their tasks, from what was said of them.

    A standing decision counts before reviews; reviews that differ make a dispute; reviews of gold items test the
    reviewer and say nothing of the trajectory.
    """
    with transaction.atomic(savepoint=False):
        tasks, changed = _settle_statuses(project, trajectory_ids)
        update_difficulty(project, tasks)
        if changed:
            follow_statuses(changed)


def _settle_statuses(project: Project, trajectory_ids: Iterable[int]) -> tuple[set[int], list[int]]:
    """The first half of it; returns the tasks, and once for each status that changed, the task of its trajectory."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [project.pk, sorted(set(trajectory_ids))])
        locked = cursor.fetchall()
        cursor.execute(SETTLE, [[pk for pk, _ in locked]])
        return {task for _, task in locked}, [task for (task,) in cursor.fetchall()]
