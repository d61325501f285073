"""Bulk actions: starting one, stopping, going on, undoing. What they do to each trajectory is in bulk_runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now

from curation.formats.cleaning import clean_text
from curation.models import ACTIVE_STATES, BulkAction, JobState, Membership, Project, Queue, Role, Trajectory
from curation.permissions import Access
from curation.selectors.bulk import BulkOrder
from curation.services.audit import record_action
from curation.services.jobs import request_stop, requeue_job

Action = BulkAction.Action
LONGEST_TAG = 40
LONGEST_REASON = 300
LONGEST_KEY = 200


class KeyReused(ValueError):
    """An idempotency key that came with another request before."""


def clean_tag(text: str) -> str:
    """A tag as it is stored. Raises ValueError for one that is empty, too long or holds control characters."""
    tag = text.strip()
    if not tag:
        raise ValueError("Say which tag.")
    if len(tag) > LONGEST_TAG:
        raise ValueError(f"A tag has at most {LONGEST_TAG} characters; this one has {len(tag)}.")
    if not tag.isprintable():
        raise ValueError("A tag holds no control characters.")
    return tag


def check_order(project: Project, order: BulkOrder) -> BulkOrder:
    """The order, cleaned, with what its action needs and no more. Raises ValueError for what is missing or wrong."""
    match order.action:
        case Action.ACCEPT | Action.REJECT:
            reason = clean_text(order.reason)[0].strip()
            if len(reason) > LONGEST_REASON:
                raise ValueError(f"A reason has at most {LONGEST_REASON} characters; this one has {len(reason)}.")
            return BulkOrder(action=order.action, reason=reason)
        case Action.TAG | Action.UNTAG:
            return BulkOrder(action=order.action, tag=clean_tag(order.tag))
        case Action.QUEUE:
            _check_queue(project, order)
            return BulkOrder(action=order.action, queue=order.queue)
        case Action.ASSIGN:
            _check_assignee(project, order, _check_queue(project, order))
            return BulkOrder(action=order.action, queue=order.queue, assignee=order.assignee)
    raise ValueError(f"There is no action {order.action!r}. Known: {', '.join(Action.values)}.")


def _check_queue(project: Project, order: BulkOrder) -> Queue:
    if order.queue is None or order.queue.project_id != project.pk:
        raise ValueError("Say which queue of this project.")
    if order.queue.kind != Queue.Kind.SINGLE:
        raise ValueError(f"{order.queue.name} holds pairs, not trajectories.")
    return order.queue


def _check_assignee(project: Project, order: BulkOrder, queue: Queue) -> None:
    reviewers = Membership.objects.filter(project=project, roles__contains=[Role.REVIEWER])
    if order.assignee is None or not reviewers.filter(user=order.assignee).exists():
        raise ValueError("Say which reviewer of this project.")
    named = queue.reviewers.all()
    if named.exists() and not named.filter(pk=order.assignee.pk).exists():
        raise ValueError(f"{order.assignee.get_username()} may not take from {queue.name}: it names its reviewers.")


def create_bulk_action(
    access: Access,
    order: BulkOrder,
    *,
    conditions: Mapping[str, str],
    chosen: QuerySet[Trajectory],
    idempotency_key: str = "",
) -> BulkAction:
    """Start an action on the trajectories that fit `conditions` now: `chosen`; those that come later stay out.

    The same `idempotency_key` gives the same action. Raises ValueError for an order that is not whole or where nothing
    fits, and KeyReused.
    """
    access.require(Role.CURATOR)
    order = check_order(access.project, order)
    key = clean_text(idempotency_key)[0]
    if len(key) > LONGEST_KEY:
        raise ValueError(f"An idempotency key has at most {LONGEST_KEY} characters.")
    fields = {"action": order.action, "conditions": dict(conditions), "parameters": _write_parameters(order)}
    if known := _find_by_key(access, key, fields):
        return known
    newest = chosen.order_by().aggregate(newest=Max("pk"))["newest"]
    if newest is None:
        raise ValueError("No trajectory fits these conditions, so there is nothing to do.")
    try:
        with transaction.atomic():
            action = BulkAction.objects.create(
                project=access.project,
                created_by=access.user,
                newest=newest,
                progress_total=chosen.filter(pk__lte=newest).count(),
                idempotency_key=key,
                **fields,
            )
            details = {"what": order.action, "conditions": dict(conditions), "parameters": action.parameters}
            record_action(access, "bulk.create", action.pk, trajectories=action.progress_total, **details)
    except IntegrityError:
        # The same request came twice at the same moment.
        if known := _find_by_key(access, key, fields):
            return known
        raise
    return action


def _write_parameters(order: BulkOrder) -> dict[str, Any]:
    parameters = {
        "tag": order.tag,
        "queue": order.queue and order.queue.pk,
        "assignee": order.assignee and order.assignee.pk,
        "reason": order.reason,
    }
    return {name: value for name, value in parameters.items() if value}


def _find_by_key(access: Access, key: str, fields: Mapping[str, Any]) -> BulkAction | None:
    known = BulkAction.objects.filter(project=access.project, idempotency_key=key).first() if key else None
    if known and any(getattr(known, name) != value for name, value in fields.items()):
        raise KeyReused(f"The idempotency key {key!r} came with another request before: bulk action {known.pk}.")
    return known


def stop_bulk_action(access: Access, action: BulkAction) -> None:
    """Ask an action, or its undoing, to stop after its current batch. Raises ValueError where it has ended."""
    access.require(Role.CURATOR)
    if not request_stop(action):
        raise ValueError("This action has ended already.")
    record_action(access, "bulk.stop", action.pk)


def resume_bulk_action(access: Access, action: BulkAction) -> None:
    """Let a stopped or failed action, or its undoing, go on. Raises ValueError for one that is neither."""
    access.require(Role.CURATOR)
    if not requeue_job(action):
        raise ValueError("Only an action that stopped or failed can go on.")
    record_action(access, "bulk.resume", action.pk)


def undo_bulk_action(access: Access, action: BulkAction) -> None:
    """Let a worker take back what an action changed and nobody has changed since.

    Raises ValueError while it runs, and where it was undone already.
    """
    access.require(Role.CURATOR)
    with transaction.atomic():
        ended = BulkAction.objects.filter(pk=action.pk, undone_at=None).exclude(state__in=ACTIVE_STATES)
        begun = ended.update(
            undone_at=Now(), state=JobState.QUEUED, stage="", position=0, progress=0, progress_total=action.changed,
            stop_requested=False, claims=0, sends=0, sent_at=Now(), finished_at=None, error="", advice="",
        )  # fmt: skip
        if not begun:
            action.refresh_from_db()
            raise ValueError(
                "This action was undone already." if action.undone_at else "Stop the action before it is undone."
            )
        record_action(access, "bulk.undo", action.pk, changed=action.changed)
