"""Searching for pairs to propose: a job that goes through a project's tasks, one task's documents at a time.

A search that is killed starts over: pairs are unique, and how many a task has is counted from the database, so what
was proposed already stays as it is.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from curation.formats.cleaning import clean_text
from curation.models import (
    ACTIVE_STATES,
    JobState,
    PairSearch,
    PreferencePair,
    Project,
    Revision,
    Role,
    Task,
    Trajectory,
)
from curation.permissions import Access
from curation.revisions import PairError, measure_pair
from curation.services.audit import record_action
from curation.services.jobs import JobLost, JobStopped, beat_job, claim_job, end_job, request_stop
from curation.services.pair_candidates import Candidate, Documents, find_candidates

logger = logging.getLogger(__name__)

Origin = PreferencePair.Origin

PROPOSED_ORIGINS = [Origin.OUTCOME, Origin.CORRECTION, Origin.STEP, Origin.REWARD, Origin.MODELS]
MOST_PER_TASK = 50
BEAT_SECONDS = 1.0


class SearchRuns(ValueError):
    """Pairs are being looked for in the project already."""


def create_search(
    access: Access, *, origins: Sequence[str], most_per_task: int = 3, between: Sequence[str] = ()
) -> PairSearch:
    """A search that waits for a worker: the caller sends curation.jobs.search_pairs.

    A task gets pairs of the chosen origins in turn until it has `most_per_task` pairs in all, whoever made them, so
    that no task floods the set. `between` names the two models that are compared. Raises SearchRuns while another one
    is active, and ValueError for a choice that makes no sense.
    """
    access.require(Role.CURATOR)
    chosen = [origin for origin in PROPOSED_ORIGINS if origin in origins]
    if not chosen or set(origins) - set(PROPOSED_ORIGINS):
        raise ValueError(f"Choose what to propose: {', '.join(PROPOSED_ORIGINS)}.")
    if not 1 <= most_per_task <= MOST_PER_TASK:
        raise ValueError(f"A task gets 1 to {MOST_PER_TASK} pairs.")
    models = [clean_text(name)[0] for name in between if name] if Origin.MODELS in chosen else []
    if Origin.MODELS in chosen:
        _check_models(access.project, models)
    with transaction.atomic():
        # Two requests at once wait for one another here, so that one of them finds the other's search.
        Project.objects.select_for_update(no_key=True).get(pk=access.project.pk)
        if PairSearch.objects.filter(project=access.project, state__in=ACTIVE_STATES).exists():
            raise SearchRuns("Pairs are being looked for already; wait for that search, or stop it.")
        search = PairSearch.objects.create(
            project=access.project,
            created_by=access.user,
            origins=chosen,
            most_per_task=most_per_task,
            between=models,
        )
        record_action(access, "pairs.propose", search.pk, origins=chosen, most_per_task=most_per_task, between=models)
    return search


def stop_search(access: Access, search: PairSearch) -> None:
    """Ask a search to stop; what it proposed stays. Raises ValueError where it has ended."""
    access.require(Role.CURATOR)
    if not request_stop(search):
        raise ValueError("This search has ended already.")
    record_action(access, "pairs.stop", search.pk)


def propose_pairs(
    access: Access, *, origins: Sequence[str] = (Origin.OUTCOME,), most_per_task: int = 3, between: Sequence[str] = ()
) -> PairSearch:
    """Search at once, without a worker: for scripts. Raises as create_search does."""
    search = create_search(access, origins=origins, most_per_task=most_per_task, between=between)
    run_search(search.pk)
    search.refresh_from_db()
    return search


def run_search(pk: int) -> None:
    """Go through the tasks of a queued search. Does nothing where another worker has it, or it has ended."""
    search = claim_job(PairSearch, pk)
    if search is None:
        return
    try:
        _Search(search).run()
    except JobLost:
        logger.warning("search for pairs %s is another worker's now", pk)
    except JobStopped:
        end_job(search, JobState.STOPPED, stage="", advice="What was proposed by then stays.")
    except Exception as error:
        logger.exception("search for pairs %s failed", pk)
        advice = "What was proposed by then stays. Search again to go on."
        end_job(
            search, JobState.FAILED, stage="", error=clean_text(f"{type(error).__name__}: {error}")[0], advice=advice
        )


def propose_correction_pair(trajectory: Trajectory) -> PreferencePair | None:
    """Propose the newest revision of a failed attempt over the recorded one.

    An earlier proposal of the same attempt that nobody has judged yet makes way. None where the attempt did not
    fail, was not corrected, or the two would make no pair to learn from.
    """
    if trajectory.success is not False or trajectory.head_number == 0:
        return None
    ends = {r.number: r for r in trajectory.revisions.filter(number__in=[0, trajectory.head_number])}
    candidate = Candidate(Origin.CORRECTION, ends[trajectory.head_number].pk, ends[0].pk)
    documents = Documents()
    documents.keep(ends.values())
    try:
        pair = _build_pair(trajectory.task, candidate, documents)
    except PairError:
        return None
    with transaction.atomic():
        _clear_stale([pair])
        PreferencePair.objects.bulk_create([pair], ignore_conflicts=True)
    return PreferencePair.objects.filter(_between(pair), step_only=False).first()


class _Search:
    """One pass over the tasks. `unusable` is counted anew in each pass, `proposed` with the pairs themselves."""

    def __init__(self, search: PairSearch) -> None:
        self.search = search
        self.unusable: Counter[str] = Counter()
        self.full = 0
        self._beaten = time.monotonic()

    def run(self) -> None:
        tasks = _find_tasks(self.search)
        beat_job(self.search, progress=0, progress_total=tasks.count(), stage="comparing attempts")
        seen = 0
        for task in tasks.order_by("pk").iterator(500):
            try:
                self._propose_at(task)
            except (IntegrityError, Revision.DoesNotExist):  # an import was undone in the meantime
                self.search.refresh_from_db(fields=["proposed"])
            seen += 1
            self.pulse(progress=seen)
        full = f"Tasks that had as many pairs as a task may get: {self.full:,}." if self.full else ""
        end_job(self.search, JobState.DONE, stage="", progress=seen, unusable=dict(self.unusable), advice=full)

    def pulse(self, **fields: int) -> None:
        """Say that the search is alive, once in a while: it may be long at one task."""
        if time.monotonic() - self._beaten >= BEAT_SECONDS:
            beat_job(self.search, unusable=dict(self.unusable), **fields)
            self._beaten = time.monotonic()

    def _propose_at(self, task: Task) -> None:
        known = {
            (frozenset((chosen, rejected)), step_only)
            for chosen, rejected, step_only in task.pairs.values_list("chosen_id", "rejected_id", "step_only")
        }
        room = self.search.most_per_task - len(known)
        if room <= 0:
            self.full += 1
            return
        documents = Documents(pulse=self.pulse)
        pairs: list[PreferencePair] = []
        for candidate in find_candidates(task, self.search.origins, self.search.between, documents):
            if candidate.key in known:
                continue
            try:
                pairs.append(_build_pair(task, candidate, documents))
            except PairError as error:
                self.unusable[str(error)] += 1
                continue
            known.add(candidate.key)
            if len(pairs) == room:
                break
        if pairs:
            self._save(task, pairs)

    def _save(self, task: Task, pairs: list[PreferencePair]) -> None:
        """The pairs and their count in one step: whoever was killed or lost the search has counted what is there."""
        with transaction.atomic():
            _clear_stale(pairs)
            before = task.pairs.count()
            PreferencePair.objects.bulk_create(pairs, ignore_conflicts=True)
            beat_job(self.search, proposed=self.search.proposed + task.pairs.count() - before)


def _check_models(project: Project, models: Sequence[str]) -> None:
    if len(set(models)) != 2:
        raise ValueError("Name the two models that are to be compared.")
    attempts = Trajectory.objects.filter(project=project, model__in=models)
    unknown = set(models) - set(attempts.values_list("model", flat=True).distinct())
    if unknown:
        raise ValueError(f"No attempt in this project is by {sorted(unknown)[0]!r}.")


def _find_tasks(search: PairSearch) -> QuerySet[Task]:
    """The tasks at which a pair of one of the chosen origins may be found."""
    attempts = Trajectory.objects.filter(task=OuterRef("pk"), project=search.project_id)
    usable = attempts.exclude(completion=Trajectory.Completion.CRASHED)
    usable = usable.exclude(success=True, status=Trajectory.Status.REJECTED)
    corrected = Exists(attempts.filter(success=False, head_number__gt=0))
    conditions = {
        Origin.OUTCOME: Exists(usable.filter(success=True)) & Exists(usable.filter(success=False)),
        Origin.CORRECTION: corrected,
        Origin.STEP: corrected,
        Origin.REWARD: Exists(usable.filter(reward__isnull=False)),
        Origin.MODELS: Q(),
    }
    if Origin.MODELS in search.origins:
        one, other = search.between
        conditions[Origin.MODELS] = Exists(usable.filter(model=one)) & Exists(usable.filter(model=other))
    anything = Q()
    for origin in search.origins:
        anything |= Q(conditions[Origin(origin)])
    return Task.objects.filter(anything, project=search.project_id)


def _build_pair(task: Task, candidate: Candidate, documents: Documents) -> PreferencePair:
    """Raises PairError for two sides that no trainer could learn from."""
    chosen, rejected = documents.read(candidate.chosen_id), documents.read(candidate.rejected_id)
    measure = measure_pair(chosen, rejected, step_only=candidate.step_only)
    return PreferencePair(
        project_id=task.project_id,
        task=task,
        chosen_id=candidate.chosen_id,
        rejected_id=candidate.rejected_id,
        origin=candidate.origin,
        **asdict(measure),
    )


def _clear_stale(pairs: Iterable[PreferencePair]) -> None:
    """Let go what older corrections of the same attempts had proposed, where nobody judged or queued it."""
    for pair in pairs:
        if pair.origin in (Origin.CORRECTION, Origin.STEP):
            stale = PreferencePair.objects.filter(
                rejected=pair.rejected_id, origin=pair.origin, judgements=None, queue_items=None
            )
            stale.exclude(chosen=pair.chosen_id).delete()


def _between(pair: PreferencePair) -> Q:
    one, other = pair.chosen_id, pair.rejected_id
    return Q(chosen=one, rejected=other) | Q(chosen=other, rejected=one)
