"""How far a queue is: its items by state and band, what each reviewer gave in which time, and when it may be done.

Whoever reviews must not be able to tell a gold item by a count that stands still when they answer it. So reviewers see
counts that hold gold items like all others; only curators see the items without them, and by state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import connection
from django.utils import timezone

from curation.forecast import Forecast, forecast_end
from curation.models import Queue, User
from curation.selectors.queues import keep_if_large

DAYS_SHOWN = 14
FORMER = "a former member"

# An item is done when it has the answers it wants, held while somebody's lease on it runs, else open. A gold item
# wants one answer of each who works here.
STATES = """
WITH known AS (
    SELECT reservation.item_id, count(*) FILTER (WHERE reservation.state = 'done') AS given,
        bool_or(reservation.state = 'held' AND reservation.expires_at > now()) AS held,
        bool_or(reservation.state = 'skipped') AS skipped
    FROM curation_reservation AS reservation JOIN curation_queueitem AS item ON item.id = reservation.item_id
    WHERE item.queue_id = %(queue)s GROUP BY reservation.item_id
), people AS (
    SELECT count(DISTINCT reservation.reviewer_id) AS number
    FROM curation_reservation AS reservation JOIN curation_queueitem AS item ON item.id = reservation.item_id
    WHERE item.queue_id = %(queue)s AND %(gold)s
), items AS (
    SELECT item.band, coalesce(known.given, 0) AS given, coalesce(known.held, false) AS held,
        coalesce(known.skipped, false) AS skipped,
        CASE WHEN item.gold THEN greatest(people.number, 1) ELSE %(wanted)s END AS wanted
    FROM curation_queueitem AS item CROSS JOIN people LEFT JOIN known ON known.item_id = item.id
    WHERE item.queue_id = %(queue)s AND (%(gold)s OR NOT item.gold)
)
SELECT band, count(*), sum(wanted)::bigint, sum(given)::bigint,
    count(*) FILTER (WHERE given < wanted AND NOT held), count(*) FILTER (WHERE given < wanted AND held),
    count(*) FILTER (WHERE given >= wanted), count(*) FILTER (WHERE skipped AND given < wanted)
FROM items GROUP BY band ORDER BY band
"""

# One pass over the answers for the queue, each reviewer, each band, both, and each day. An answer without a time (one
# sent over REST, say) does not count for times.
WORK = """
SELECT grouping(reviewer_id, band, day), reviewer_id, band, day, count(*), coalesce(sum(seconds), 0)::bigint,
    count(*) FILTER (WHERE seconds > 0),
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE seconds > 0),
    max(at), count(DISTINCT day), count(*) FILTER (WHERE day = (now() AT TIME ZONE 'UTC')::date),
    count(DISTINCT reviewer_id)
FROM (
    SELECT answer.reviewer_id, item.band, answer.seconds, answer.{at} AS at,
        (answer.{at} AT TIME ZONE 'UTC')::date AS day
    FROM {table} AS answer JOIN curation_queueitem AS item ON item.id = answer.item_id
    WHERE item.queue_id = %s AND {given}
) AS given
GROUP BY GROUPING SETS ((), (reviewer_id), (band), (reviewer_id, band), (day))
"""
SOURCES = {
    Queue.Kind.SINGLE: {"table": "curation_review", "at": "submitted_at", "given": "answer.submitted_at IS NOT NULL"},
    Queue.Kind.PAIRWISE: {"table": "curation_judgement", "at": "created_at", "given": "NOT answer.decides"},
}
ALL, BY_DAY, BY_BAND, BY_REVIEWER, BY_BOTH = 0b111, 0b110, 0b101, 0b011, 0b001


@dataclass(frozen=True)
class Items:
    """Items of a band (0: unknown), or of all, by state; `wanted` and `given` count answers. `skipped` are those of
    the items not done that somebody passed over."""

    band: int = 0
    items: int = 0
    wanted: int = 0
    given: int = 0
    open: int = 0
    held: int = 0
    done: int = 0
    skipped: int = 0

    @property
    def left(self) -> int:
        return max(0, self.wanted - self.given)


@dataclass(frozen=True)
class Work:
    """Answers given, by somebody or in some band, and the time at work on them in seconds, idle time left out."""

    answers: int = 0
    seconds: int = 0
    timed: int = 0
    median: float | None = None
    p90: float | None = None
    last: datetime | None = None
    days: int = 0
    today: int = 0
    reviewer: int | None = None
    name: str = ""
    band: int | None = None

    @property
    def per_hour(self) -> float | None:
        """Answers per hour of work; None where no time is known."""
        return self.timed * 3600 / self.seconds if self.seconds else None

    @property
    def per_day(self) -> float | None:
        """Answers per day with any."""
        return self.answers / self.days if self.days else None


@dataclass(frozen=True)
class Day:
    day: date
    answers: int
    people: int


@dataclass(frozen=True)
class WorkDone:
    """The answers of a queue as a whole, by reviewer (most first), by band, by both, and by day (newest first)."""

    total: Work = Work()
    reviewers: list[Work] = field(default_factory=list)
    bands: dict[int, Work] = field(default_factory=dict)
    parts: list[Work] = field(default_factory=list)
    days: list[Day] = field(default_factory=list)


@dataclass(frozen=True)
class QueueProgress:
    total: Items
    bands: list[Items]
    work: WorkDone
    forecast: Forecast


def measure_progress(queue: Queue, *, with_gold: bool) -> QueueProgress:
    """Progress of a queue, in a few queries; of a large one some seconds old. `with_gold` is as reviewers see it."""
    bands = keep_if_large(
        f"items-{queue.pk}-{with_gold}",
        lambda: _count_items(queue, with_gold),
        size=lambda rows: sum(r.items for r in rows),
    )
    work = keep_if_large(f"work-{queue.pk}", lambda: _measure_work(queue), size=lambda work: work.total.answers)
    names = ("items", "wanted", "given", "open", "held", "done", "skipped")
    total = Items(**{name: sum(getattr(band, name) for band in bands) for name in names})
    per_day = [(day.day, day.answers) for day in work.days]
    forecast = forecast_end(total.left, per_day, today=timezone.now().date(), per_hour=work.total.per_hour)
    return QueueProgress(total, bands, work, forecast)


def _count_items(queue: Queue, with_gold: bool) -> list[Items]:
    with connection.cursor() as cursor:
        cursor.execute(STATES, {"queue": queue.pk, "wanted": queue.reviews_wanted, "gold": with_gold})
        return [Items(*row) for row in cursor.fetchall()]


def _measure_work(queue: Queue) -> WorkDone:
    with connection.cursor() as cursor:
        cursor.execute(WORK.format(**SOURCES[Queue.Kind(queue.kind)]), [queue.pk])
        rows = cursor.fetchall()
    people = {row[1] for row in rows if row[0] == BY_REVIEWER and row[1] is not None}
    names = dict(User.objects.filter(pk__in=people).values_list("pk", "username"))
    by_set: dict[int, list[Work]] = {ALL: [], BY_BAND: [], BY_REVIEWER: [], BY_BOTH: []}
    days = []
    for grouped, reviewer, band, day, answers, seconds, timed, times, last, active, today, number in rows:
        if grouped == BY_DAY:
            days.append(Day(day, answers, number))
            continue
        median, p90 = times or (None, None)
        name = names.get(reviewer, FORMER)
        work = Work(answers, seconds, timed, median, p90, last, active, today, reviewer, name, band)
        by_set[grouped].append(work)
    return WorkDone(
        total=by_set[ALL][0],
        reviewers=sorted(by_set[BY_REVIEWER], key=lambda work: (-work.answers, work.name)),
        bands={work.band or 0: work for work in by_set[BY_BAND]},
        parts=sorted(by_set[BY_BOTH], key=lambda work: (work.name, work.band or 0)),
        days=sorted(days, key=lambda day: day.day, reverse=True)[:DAYS_SHOWN],
    )
