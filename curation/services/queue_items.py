"""What a queue holds: filling it by its order, and keeping that order true while people work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, CharField, Count, F, FloatField, Func, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Abs, Cast, Coalesce, Concat

from curation.models import Judgement, Opinion, PreferencePair, Project, Queue, Trajectory

MANY = 1000
"""Items from which on the planner is given new statistics at once: without them the next item is searched for."""

LAST = 1e9
"""The rank of what an order says nothing of."""

FILL = """
INSERT INTO curation_queueitem (queue_id, {column}, rank, band, free_slots, gold, gold_verdict, added_at)
SELECT %s, chosen.id, chosen.rank, 0, '{{}}', false, '', now() FROM ({chosen}) AS chosen (id, rank)
ORDER BY chosen.rank, chosen.id ON CONFLICT DO NOTHING
"""
# Among equal bands the task with the fewest accepted attempts, or confirmed pairs, comes first. What somebody else is
# just writing on is passed over here, too: while a queue is filled, a fit may move the bands of what is in it.
RANK = """
UPDATE curation_queueitem AS item SET rank = fresh.settled
FROM (
    SELECT waiting.id, counted.settled
    FROM curation_queueitem AS waiting JOIN {table} AS subject ON subject.id = waiting.{column}
    JOIN (
        SELECT task_id, count(*) AS settled FROM {table}
        WHERE project_id = %(project)s AND status = '{settled}' GROUP BY task_id
    ) AS counted ON counted.task_id = subject.task_id
    WHERE waiting.queue_id = %(queue)s AND waiting.rank <> counted.settled
    FOR UPDATE OF waiting SKIP LOCKED
) AS fresh
WHERE item.id = fresh.id
"""
RANK_SOME = """
UPDATE curation_queueitem AS item SET rank = fresh.settled
FROM (
    SELECT waiting.id, (
        SELECT count(*) FROM {table} AS other WHERE other.task_id = subject.task_id AND other.status = '{settled}'
    ) AS settled
    FROM curation_queueitem AS waiting JOIN {table} AS subject ON subject.id = waiting.{column}
    WHERE waiting.id = ANY(%s) FOR UPDATE OF waiting SKIP LOCKED
) AS fresh
WHERE item.id = fresh.id AND item.rank <> fresh.settled
"""
# What is being taken or submitted at this moment is passed over, so that nobody waits for anybody here.
FOLLOW = """
UPDATE curation_queueitem AS item SET rank = fresh.rank
FROM (
    SELECT waiting.id, CASE queue."order" WHEN 'disagreement' THEN {dispute} ELSE counted.settled END AS rank
    FROM (
        SELECT task_id, count(*) FILTER (WHERE status = '{settled}') AS settled FROM {table}
        WHERE task_id = %s GROUP BY task_id
    ) AS counted
    JOIN {table} AS subject ON subject.task_id = counted.task_id
    JOIN curation_queueitem AS waiting ON waiting.{column} = subject.id AND waiting.free_slots <> '{{}}'
    JOIN curation_queue AS queue ON queue.id = waiting.queue_id AND queue."order" IN ('deficit', 'disagreement')
    FOR UPDATE OF waiting SKIP LOCKED
) AS fresh
WHERE item.id = fresh.id AND item.rank <> fresh.rank
"""
ATTEMPTS = {"table": "curation_trajectory", "column": "trajectory_id", "settled": "accepted"}
PAIRS = {"table": "curation_preferencepair", "column": "pair_id", "settled": "confirmed"}
# In a queue by disagreement, an item with a dispute, and a slot left for one who may end it, comes before all others.
FOLLOW_STATUSES = FOLLOW.format(
    **ATTEMPTS,
    dispute="CASE subject.status WHEN 'disputed' THEN -1 ELSE 0 END",
)
FOLLOW_PAIRS = FOLLOW.format(
    **PAIRS,
    dispute="-(SELECT count(DISTINCT answer) FROM curation_judgement AS given WHERE given.pair_id = subject.id)",
)
# The newest opinion of any judge on the newest revision.
FOLLOW_OPINIONS = """
UPDATE curation_queueitem AS item SET rank = fresh.rank
FROM (
    SELECT waiting.id, abs(opinion.score - 0.5) AS rank
    FROM curation_trajectory AS subject
    JOIN curation_queueitem AS waiting ON waiting.trajectory_id = subject.id AND waiting.free_slots <> '{}'
    JOIN curation_queue AS queue ON queue.id = waiting.queue_id AND queue."order" = 'uncertainty'
    CROSS JOIN LATERAL (
        SELECT given.score FROM curation_opinion AS given
        JOIN curation_revision AS judged ON judged.id = given.revision_id
        WHERE given.trajectory_id = subject.id AND judged.number = subject.head_number
        ORDER BY given.id DESC LIMIT 1
    ) AS opinion
    WHERE subject.id = ANY(%s)
    FOR UPDATE OF waiting SKIP LOCKED
) AS fresh
WHERE item.id = fresh.id AND item.rank <> fresh.rank
"""
WAITING_TASKS = """
SELECT DISTINCT attempt.task_id FROM curation_queue AS queue
JOIN curation_queueitem AS waiting ON waiting.queue_id = queue.id AND waiting.free_slots <> '{}'
JOIN curation_trajectory AS attempt ON attempt.id = waiting.trajectory_id
WHERE queue.project_id = %s AND queue."order" IN ('deficit', 'disagreement') ORDER BY attempt.task_id
"""
ITEMS_AT_ONCE = 1000
TASKS_AT_ONCE = 50
"""Tasks whose open items are put in order by one transaction: reviewers pass these items over until it ends."""


def add_trajectories(queue: Queue, trajectories: QuerySet[Trajectory]) -> int:
    """Put trajectories into a queue; those that are in it already stay as they are. Returns the number added.

    Raises ValueError for a queue of pairs.
    """
    if queue.kind != Queue.Kind.SINGLE:
        raise ValueError(f"{queue.name} is a queue of pairs.")
    return _fill(queue, trajectories, _rank_trajectories(queue), ATTEMPTS)


def add_pairs(queue: Queue, pairs: QuerySet[PreferencePair]) -> int:
    """Put pairs into a pairwise queue; those that are in it already stay as they are. Returns the number added.

    Raises ValueError for a queue of trajectories.
    """
    if queue.kind != Queue.Kind.PAIRWISE:
        raise ValueError(f"{queue.name} is a queue of trajectories.")
    return _fill(queue, pairs, _rank_pairs(queue), PAIRS)


def follow_statuses(task_ids: Sequence[int]) -> None:
    """Keep the order of open items true after the status of attempts at these tasks has changed."""
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        for task in task_ids:
            cursor.execute(FOLLOW_STATUSES, [task])


def follow_opinions(trajectory_ids: Sequence[int]) -> None:
    """Keep the order of open items true after judges have said something of these trajectories."""
    with connection.cursor() as cursor:
        cursor.execute(FOLLOW_OPINIONS, [list(trajectory_ids)])


def follow_pairs(task_id: int) -> None:
    """Keep the order of open items true after a pair of this task was judged."""
    with connection.cursor() as cursor:
        cursor.execute(FOLLOW_PAIRS, [task_id])


def follow_all_statuses(project: Project, *, beat: Callable[[], None]) -> None:
    """The same for all tasks of a project, a few at a time, after very many have changed; `beat` is called often."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING_TASKS, [project.pk])
        tasks = [task for (task,) in cursor.fetchall()]
    for first in range(0, len(tasks), TASKS_AT_ONCE):
        beat()
        follow_statuses(tasks[first : first + TASKS_AT_ONCE])


def rank_by_deficit(queue: Queue) -> None:
    """Give every item of a queue its place in the order of the deficit, a few at a time: people go on working."""
    names = PAIRS if queue.kind == Queue.Kind.PAIRWISE else ATTEMPTS
    items = list(queue.items.order_by("pk").values_list("pk", flat=True))
    with connection.cursor() as cursor:
        for first in range(0, len(items), ITEMS_AT_ONCE):
            cursor.execute(RANK_SOME.format(**names), [items[first : first + ITEMS_AT_ONCE]])


def _fill(queue: Queue, rows: QuerySet[Any], rank: Any, names: Mapping[str, str]) -> int:
    chosen = rows.filter(project_id=queue.project_id).order_by().annotate(queue_rank=rank)
    statement, parameters = chosen.values_list("pk", "queue_rank").query.sql_with_params()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FILL.format(column=names["column"], chosen=statement), [queue.pk, *parameters])
        added: int = cursor.rowcount
        if queue.order == Queue.Order.DEFICIT:
            cursor.execute(RANK.format(**names), {"project": queue.project_id, "queue": queue.pk})
        if added >= MANY:
            cursor.execute("ANALYZE curation_queueitem")
    return added


def _rank_trajectories(queue: Queue) -> Any:
    match queue.order:
        case Queue.Order.RANDOM:
            return _draw_lot(queue.seed)
        case Queue.Order.DISAGREEMENT:
            return Case(When(status=Trajectory.Status.DISPUTED, then=Value(-1.0)), default=Value(0.0))
        case Queue.Order.UNCERTAINTY:
            # A score of judges that was imported stands in where no judge of the project has said anything.
            given = Opinion.objects.filter(trajectory=OuterRef("pk"), revision__number=OuterRef("head_number"))
            newest = given.order_by("-pk").values("score")[:1]
            near = Abs(F("reward") - F("project__success_threshold"))
            return Coalesce(Abs(Subquery(newest) - 0.5), near, Value(LAST))
    return Value(0.0)


def _rank_pairs(queue: Queue) -> Any:
    match queue.order:
        case Queue.Order.RANDOM:
            return _draw_lot(queue.seed)
        case Queue.Order.DISAGREEMENT:
            answers = Judgement.objects.filter(pair=OuterRef("pk")).order_by().values("pair")
            different = answers.annotate(n=-Cast(Count("answer", distinct=True), FloatField())).values("n")
            return Coalesce(Subquery(different), Value(0.0))
        case Queue.Order.UNCERTAINTY:
            return Coalesce(Abs(F("confidence") - 0.5), Value(0.0))
    return Value(0.0)


def _draw_lot(seed: int) -> Any:
    """A number by lot for each row, the same whenever it is drawn with this seed."""
    ticket = Concat(Value(f"{seed}:"), Cast(F("pk"), CharField()), output_field=CharField())
    return Func(
        ticket, template="('x' || left(md5(%(expressions)s), 8))::bit(32)::bigint::float8", output_field=FloatField()
    )
