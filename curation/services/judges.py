"""Model judges: making one, trying it, putting it away; and the runs that put it to many trajectories.

A judge is never edited. Another address or another key makes another judge, so that a stored key cannot be sent to
an address that it was not given for, and an opinion always says what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now

from curation.formats.cleaning import clean_text
from curation.judging import Question, Request, hash_request, write_request
from curation.models import ACTIVE_STATES, Judge, JudgeRun, Revision, Role, Trajectory
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.bulk import LONGEST_KEY, KeyReused
from curation.services.fetching import FetchError
from curation.services.jobs import request_stop, requeue_job
from curation.services.judge_asking import Asked, ask
from curation.services.judge_calls import Endpoint, EndpointRefuses, check_address
from curation.services.judge_keys import BadKey, check_variable, find_key, seal_key
from curation.services.rubrics import check_criteria

LONGEST_INSTRUCTIONS = 20_000
MOST_PRICE = 1e6
TRIAL_SECONDS = 60.0
"""How long an answer to a trial may take: somebody, and a thread of the web server, waits for it."""


class RunRefused(ValueError):
    """A run that cannot be started or go on as things stand; the text says why."""


@dataclass(frozen=True, kw_only=True)
class JudgeDraft:
    """What a judge is made of. At most one of `key` and `key_variable`; neither for an endpoint that wants none."""

    name: str
    base_url: str
    model: str
    instructions: str
    unit: str = Judge.Unit.TRAJECTORY
    criteria: Sequence[Mapping[str, Any]] = ()
    key: str = field(default="", repr=False)
    key_variable: str = ""
    concurrency: int = 4
    price_in: float = 0.0
    price_out: float = 0.0


@dataclass(frozen=True)
class Trial:
    """One trajectory put to a judge: exactly what was sent, and what came back."""

    request: Request
    asked: Asked


def check_draft(access: Access, draft: JudgeDraft) -> Judge:
    """A judge of the draft that is not saved. Raises ValueError that says what is wrong."""
    access.require(Role.CURATOR)
    name, model = draft.name.strip(), draft.model.strip()
    for what, text in (("name", name), ("model's name", model)):
        if not text or len(text) > 120 or not text.isprintable():
            raise ValueError(f"The {what} has 1 to 120 characters, and no control characters.")
    base_url = draft.base_url.strip().rstrip("/")
    if len(base_url) > 300:
        raise ValueError("The address has at most 300 characters.")
    try:
        check_address(base_url)
    except FetchError as error:
        raise ValueError(f"Address: {error}") from error
    instructions = clean_text(draft.instructions)[0].strip()
    if not instructions or len(instructions) > LONGEST_INSTRUCTIONS:
        raise ValueError(f"Instructions have 1 to {LONGEST_INSTRUCTIONS:,} characters.")
    if draft.unit not in Judge.Unit.values:
        raise ValueError(f"There is no unit {draft.unit!r}. Known: {', '.join(Judge.Unit.values)}.")
    if draft.unit == Judge.Unit.STEP and draft.criteria:
        raise ValueError("A judge of steps labels steps: it has no criteria.")
    if not 1 <= draft.concurrency <= 64:
        raise ValueError("From 1 to 64 questions are asked at once.")
    if not all(0 <= price <= MOST_PRICE for price in (draft.price_in, draft.price_out)):
        raise ValueError("A price is 0 or more, for a million tokens.")
    if draft.key and draft.key_variable:
        raise ValueError("Give a key, or the variable that holds it, not both.")
    return Judge(
        project=access.project,
        created_by=access.user,
        name=name,
        base_url=base_url,
        model=model,
        instructions=instructions,
        unit=draft.unit,
        criteria=check_criteria(draft.criteria),
        key_variable=check_variable(draft.key_variable, base_url) if draft.key_variable else "",
        sealed_key=seal_key(draft.key, base_url) if draft.key else None,
        concurrency=draft.concurrency,
        price_in=draft.price_in,
        price_out=draft.price_out,
    )


def create_judge(access: Access, draft: JudgeDraft) -> Judge:
    """Raises ValueError for a draft that does not hold, or a name that is taken."""
    judge = check_draft(access, draft)
    try:
        with transaction.atomic():
            judge.save()
            key = judge.key_variable or ("sealed" if judge.sealed_key else "none")
            record_action(access, "judge.create", judge, base_url=judge.base_url, model=judge.model, key=key)
    except IntegrityError:
        raise ValueError(f"There is a judge named {judge.name!r} already.") from None
    return judge


def archive_judge(access: Access, judge: Judge) -> None:
    """Put a judge away: its opinions stay, its key is forgotten. Raises ValueError while a run of it is at work."""
    access.require(Role.CURATOR)
    with transaction.atomic():
        _lock(judge)
        if judge.runs.filter(state__in=ACTIVE_STATES).exists():
            raise ValueError("Stop the run of this judge before it is put away.")
        if Judge.objects.filter(pk=judge.pk, archived_at=None).update(archived_at=Now(), sealed_key=None):
            record_action(access, "judge.archive", judge)


def make_question(judge: Judge) -> Question:
    return Question(judge.instructions, by_step=judge.unit == Judge.Unit.STEP, criteria=judge.criteria)


def hash_question(judge: Judge, request: Request) -> str:
    """The content key of what is asked of a judge about a trajectory."""
    return hash_request({"base_url": judge.base_url, "model": judge.model, "unit": judge.unit}, request)


def try_judge(access: Access, judge: Judge, trajectory: Trajectory) -> Trial:
    """Put a judge, saved or not, to one trajectory without keeping what it says. Raises ValueError."""
    access.require(Role.CURATOR)
    document = Revision.objects.get(trajectory=trajectory, number=trajectory.head_number).document
    question = make_question(judge)
    request = write_request(question, document)
    if question.by_step and not request.steps:
        raise ValueError(f"Trajectory {trajectory.pk} has no step of an agent to judge.")
    record_action(access, "judge.try", judge, base_url=judge.base_url, trajectory=trajectory.pk)
    try:
        endpoint = Endpoint(judge.base_url, judge.model, find_key(judge), seconds=TRIAL_SECONDS)
    except (EndpointRefuses, BadKey) as error:
        return Trial(request, Asked(refused=str(error)))
    try:
        return Trial(request, ask(endpoint, question, request, tries=1))
    finally:
        endpoint.close()


def create_judge_run(
    access: Access,
    judge: Judge,
    *,
    conditions: Mapping[str, str],
    chosen: QuerySet[Trajectory],
    most_cost: float | None = None,
    idempotency_key: str = "",
) -> JudgeRun:
    """Put a judge to the trajectories that fit `conditions` now: `chosen`; those that come later stay out.

    The same `idempotency_key` gives the same run. Raises ValueError where nothing fits, RunRefused where another run of
    the judge is at work, and KeyReused.
    """
    access.require(Role.CURATOR)
    key = clean_text(idempotency_key)[0]
    if len(key) > LONGEST_KEY:
        raise ValueError(f"An idempotency key has at most {LONGEST_KEY} characters.")
    fields = {"conditions": dict(conditions), "most_cost": check_limit(most_cost)}
    with transaction.atomic():
        _lock(judge)
        known = JudgeRun.objects.filter(judge=judge, idempotency_key=key).first() if key else None
        if known:
            if any(getattr(known, name) != value for name, value in fields.items()):
                raise KeyReused(f"The idempotency key {key!r} came with another request before: run {known.pk}.")
            return known
        _require_idle(judge)
        newest = chosen.order_by().aggregate(newest=Max("pk"))["newest"]
        if newest is None:
            raise ValueError("No trajectory fits these conditions, so there is nothing to judge.")
        run = JudgeRun.objects.create(
            judge=judge,
            created_by=access.user,
            newest=newest,
            progress_total=chosen.filter(pk__lte=newest).count(),
            idempotency_key=key,
            **fields,
        )
        record_action(access, "judge.run", judge, run=run.pk, trajectories=run.progress_total, **fields)
    return run


def stop_judge_run(access: Access, run: JudgeRun) -> None:
    """Ask a run to stop: no further question is asked, and what was asked already is kept. Raises ValueError."""
    access.require(Role.CURATOR)
    if not request_stop(run):
        raise ValueError("This run has ended already.")
    record_action(access, "judge.stop", run.judge, run=run.pk)


def resume_judge_run(access: Access, run: JudgeRun, *, most_cost: float | None = None) -> None:
    """Let a stopped or failed run go on; `most_cost` is its new limit, in all. Raises RunRefused, and ValueError."""
    access.require(Role.CURATOR)
    limit = run.most_cost if most_cost is None else check_limit(most_cost)
    with transaction.atomic():
        _lock(run.judge)
        _require_idle(run.judge)
        if not requeue_job(run):
            raise RunRefused("Only a run that stopped or failed can go on.")
        JudgeRun.objects.filter(pk=run.pk).update(most_cost=limit)
        record_action(access, "judge.resume", run.judge, run=run.pk, most_cost=limit)


def check_limit(most_cost: float | None) -> float | None:
    """Raises ValueError for what is no amount."""
    if most_cost is not None and not 0 < most_cost <= MOST_PRICE:
        raise ValueError(f"The most that a run may cost is more than 0 and at most {MOST_PRICE:,.0f}.")
    return most_cost


def _lock(judge: Judge) -> None:
    """Of two who start a run at the same moment, the second finds the first."""
    Judge.objects.select_for_update(no_key=True).get(pk=judge.pk)


def _require_idle(judge: Judge) -> None:
    """Two runs at once would ask the same twice. Raises RunRefused."""
    if Judge.objects.filter(pk=judge.pk).exclude(archived_at=None).exists():
        raise RunRefused("This judge was put away.")
    active = judge.runs.filter(state__in=ACTIVE_STATES).first()
    if active:
        raise RunRefused(f"Run {active.pk} of this judge is at work: wait for its end, or stop it.")
