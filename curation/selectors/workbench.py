"""What the workbench shows around a trajectory. One statement: it is asked for after every answer."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from curation.models import Reservation

AROUND = """
SELECT (
    SELECT count(*) FROM curation_reservation AS mine JOIN curation_queueitem AS item ON item.id = mine.item_id
    WHERE mine.reviewer_id = %(reviewer)s AND mine.state = 'done' AND item.queue_id = %(queue)s
        AND (mine.taken_at AT TIME ZONE 'UTC')::date = (now() AT TIME ZONE 'UTC')::date
), (
    SELECT last.id FROM curation_review AS last JOIN curation_queueitem AS item ON item.id = last.item_id
    WHERE last.reviewer_id = %(reviewer)s AND item.queue_id = %(queue)s AND last.submitted_at IS NOT NULL
    ORDER BY last.submitted_at DESC, last.id DESC LIMIT 1
),
(SELECT count(*) FROM curation_remark WHERE trajectory_id = %(trajectory)s),
EXISTS (SELECT FROM curation_review WHERE item_id = %(item)s AND reviewer_id = %(reviewer)s),
EXISTS (SELECT FROM curation_review WHERE trajectory_id = %(trajectory)s AND submitted_at IS NOT NULL)
"""


@dataclass(frozen=True)
class Around:
    """The holder's reviews in the queue: how many today, and the id of the last one, which undo takes back. Of the
    trajectory: its remarks, and whether the holder has a draft of an answer, or anybody has submitted one."""

    mine_today: int
    last_review: int | None
    remarks: int
    has_draft: bool
    has_reviews: bool


def look_around(reservation: Reservation) -> Around:
    item = reservation.item
    names = {"reviewer": reservation.reviewer_id, "queue": item.queue_id}
    with connection.cursor() as cursor:
        cursor.execute(AROUND, names | {"trajectory": item.trajectory_id, "item": item.pk})
        return Around(*cursor.fetchone())
