"""Running a judge: batch by batch in the order of ids, several questions at once, each answer kept as it comes.

Threads ask; the job's own thread alone reads and writes the database. An answer, its tokens and the counts are written
in one transaction, so that whoever takes the run up after a kill asks nothing again that was answered. A stop, a
limit or a refusal ends the asking; what was asked by then is waited for, paid for, and kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from curation.formats.cleaning import clean_text
from curation.judge_answers import Judged
from curation.judging import Request, write_request
from curation.models import JobState, JudgeFailure, JudgeRun, Opinion, Project, Revision, Trajectory
from curation.services.jobs import JobLost, JobStopped, beat_job, claim_job, end_job
from curation.services.judge_asking import Asked, ask, bound_tokens
from curation.services.judge_calls import Endpoint
from curation.services.judge_keys import find_key
from curation.services.judges import hash_question, make_question
from curation.services.queue_items import follow_opinions

logger = logging.getLogger(__name__)

BATCH = 200
MOST_FAILED_IN_A_ROW = 20
"""So many questions without a usable answer one after the other end the run: it would go on like that."""
_BEAT_SECONDS = 1.0
_LONGEST_REASON = 400
_ADVICE = "What was answered by then is kept. Put right what is wrong, then continue: nothing is asked twice."

Choose = Callable[[Project, Mapping[str, Any]], QuerySet[Trajectory]]


@dataclass(frozen=True)
class Head:
    """A trajectory, and its newest revision."""

    trajectory: int
    revision: int


@dataclass
class Waiting:
    """A question that is being asked, all that it is asked for, and the most it can cost."""

    key: str
    heads: list[Head]
    bound: float


def run_judge(pk: int, choose: Choose) -> None:
    """Do a queued run to its end. Does nothing where another worker has it, or it has ended.

    `choose` gives the trajectories of a project that fit conditions.
    """
    job = claim_job(JudgeRun, pk)
    if job is None:
        return
    running = _Running(job, choose)
    try:
        end_job(job, **running.work())
    except JobLost:
        logger.warning("judge run %s is another worker's now", pk)
    except Exception as error:
        expected = isinstance(error, ValueError)
        if not expected:
            logger.exception("judge run %s failed", pk)
        words = str(error) if expected else f"{type(error).__name__}: {error}"
        end_job(job, JobState.FAILED, stage="", error=clean_text(words)[0], advice=_ADVICE)
    finally:
        running.close()


class _Running:
    """One worker's hold on a run."""

    def __init__(self, job: JudgeRun, choose: Choose) -> None:
        self.job, self.judge, self.choose = job, job.judge, choose
        self.pool = ThreadPoolExecutor(self.judge.concurrency, thread_name_prefix=f"judge-run-{job.pk}")
        self.question = make_question(self.judge)
        self.stop = threading.Event()
        self.asking: dict[Future[Asked], Waiting] = {}
        self.failed_in_a_row = 0
        self.ending: dict[str, Any] | None = None
        self.beaten_at = 0.0
        self.endpoint: Endpoint | None = None

    def close(self) -> None:
        """No thread waits for its next try any more, and nobody waits for what is still being asked."""
        self.stop.set()
        self.pool.shutdown(wait=False, cancel_futures=True)
        if self.endpoint:
            self.endpoint.close()

    def work(self) -> dict[str, Any]:
        """The state that the run ends in, with its fields. Raises JobLost, EndpointRefuses and BadKey."""
        self._beat()
        self.endpoint = Endpoint(
            self.judge.base_url,
            self.judge.model,
            find_key(self.judge),
            connections=self.judge.concurrency,
            stop=self.stop,
        )
        while self.ending is None:
            heads = self._read_batch()
            if not heads:
                return {"state": JobState.DONE, "stage": ""}
            left, already = self._find_left(heads)
            for head in left:
                self._make_room(self.judge.concurrency)
                if self.ending is not None:
                    break
                self._put(head)
            self._make_room(1)
            with transaction.atomic():
                follow_opinions([head.trajectory for head in heads])
                if self.ending is None:
                    self._save(position=heads[-1].trajectory, progress=already, cached=already)
        return self.ending

    def _read_batch(self) -> list[Head]:
        fitting = self.choose(self.judge.project, self.job.conditions)
        fitting = fitting.filter(pk__gt=self.job.position, pk__lte=self.job.newest)
        ids = list(fitting.select_related(None).order_by("pk").values_list("pk", flat=True)[:BATCH])
        revisions = Revision.objects.filter(trajectory__in=ids, number=F("trajectory__head_number"))
        return [Head(*found) for found in revisions.order_by("trajectory").values_list("trajectory", "pk")]

    def _find_left(self, heads: list[Head]) -> tuple[list[Head], int]:
        """What this run has not dealt with yet; and for how many others an earlier run did."""
        opinions = Opinion.objects.filter(judge=self.judge, revision__in=[head.revision for head in heads])
        known = dict(opinions.values_list("revision", "run"))
        failed = set(self.job.failures.filter(trajectory__in=[head.trajectory for head in heads]).values_list(
            "trajectory", flat=True
        ))  # fmt: skip
        left = [head for head in heads if head.revision not in known and head.trajectory not in failed]
        return left, sum(run != self.job.pk for run in known.values())

    def _put(self, head: Head) -> None:
        """Ask about a trajectory, unless the same content was asked about before, or is just being."""
        document = Revision.objects.values_list("document", flat=True).filter(pk=head.revision).first()
        if document is None:
            return  # removed meanwhile
        request = write_request(self.question, document)
        if self.question.by_step and not request.steps:
            self._write_failure([head], "It has no step of an agent to judge.")
            return
        key = hash_question(self.judge, request)
        for waiting in self.asking.values():
            if waiting.key == key:
                waiting.heads.append(head)
                return
        known = Opinion.objects.filter(judge=self.judge, content_key=key).first()
        if known is not None:
            judged = Judged(known.value, known.score, known.reason, known.scores, known.steps)
            with transaction.atomic():
                self._write_opinions([head], key, judged)
                self._save(progress=1, cached=1)
            return
        self._ask(head, key, request)

    def _ask(self, head: Head, key: str, request: Request) -> None:
        bound = self.judge.price_tokens(*bound_tokens(request))
        while not self._can_pay(bound) and self.asking and self.ending is None:
            self._collect()
        if self.ending is not None:
            return
        if not self._can_pay(bound):
            left = (self.job.most_cost or 0) - self.job.cost
            self._end(
                JobState.STOPPED,
                advice=f"It may cost {left:.4f} more, and the next question might cost up to {bound:.4f}. "
                "Raise the limit to continue; what was answered is kept.",
            )
            return
        assert self.endpoint is not None  # noqa: S101  # narrows the type
        future = self.pool.submit(ask, self.endpoint, self.question, request)
        self.asking[future] = Waiting(key, [head], bound)

    def _can_pay(self, bound: float) -> bool:
        """Whether a question fits into the limit even if it and all that are being asked cost the most they can."""
        if self.job.most_cost is None:
            return True
        return self.job.cost + sum(waiting.bound for waiting in self.asking.values()) + bound <= self.job.most_cost

    def _make_room(self, most: int) -> None:
        """Wait until fewer than `most` questions are being asked, or none where the run is ending."""
        self._beat()
        while len(self.asking) >= (most if self.ending is None else 1):
            self._collect()

    def _collect(self) -> None:
        """Keep what came back."""
        done, _ = wait(self.asking, timeout=_BEAT_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            self._keep(self.asking.pop(future), future.result())
        self._beat()

    def _keep(self, waiting: Waiting, asked: Asked) -> None:
        tokens = {"prompt_tokens": asked.prompt_tokens, "answer_tokens": asked.answer_tokens}
        number = len(waiting.heads)
        with transaction.atomic():
            if asked.judged:
                self._write_opinions(waiting.heads, waiting.key, asked.judged, **tokens)
                self._save(asked=1, cached=number - 1, progress=number, **tokens)
            else:
                self._save(asked=int(bool(asked.failed)), **tokens)
                if asked.failed:
                    self._write_failure(waiting.heads, asked.failed)
        self.failed_in_a_row = self.failed_in_a_row + 1 if asked.failed else 0
        if asked.refused:
            self._end(JobState.FAILED, error=asked.refused, advice=_ADVICE)
        elif self.failed_in_a_row >= MOST_FAILED_IN_A_ROW:
            error = f"The last {MOST_FAILED_IN_A_ROW} questions had no answer that could be used. {asked.failed}"
            self._end(JobState.FAILED, error=error, advice=_ADVICE)

    def _write_opinions(
        self, heads: Iterable[Head], key: str, judged: Judged, *, prompt_tokens: int = 0, answer_tokens: int = 0
    ) -> None:
        """The first of them was asked about, and bears the tokens; what was removed meanwhile is passed over."""
        there = self._keep_there(heads)
        Opinion.objects.bulk_create(
            [
                Opinion(
                    judge=self.judge,
                    run=self.job,
                    trajectory_id=head.trajectory,
                    revision_id=head.revision,
                    content_key=key,
                    value=judged.verdict,
                    score=judged.score,
                    reason=judged.reason,
                    scores=judged.scores,
                    steps=judged.steps,
                    prompt_tokens=0 if place else prompt_tokens,
                    answer_tokens=0 if place else answer_tokens,
                )
                for place, head in enumerate(there)
            ],
            ignore_conflicts=True,
        )

    def _write_failure(self, heads: list[Head], reason: str) -> None:
        with transaction.atomic():
            failures = [
                JudgeFailure(run=self.job, trajectory_id=head.trajectory, reason=reason[:_LONGEST_REASON])
                for head in self._keep_there(heads)
            ]
            JudgeFailure.objects.bulk_create(failures, ignore_conflicts=True)
            self._save(progress=len(heads), failed=len(heads))

    def _keep_there(self, heads: Iterable[Head]) -> list[Head]:
        """Those whose trajectory still is there, and stays until this is written."""
        heads = list(heads)
        rows = Trajectory.objects.filter(pk__in=[head.trajectory for head in heads]).order_by("pk")
        there = set(rows.select_for_update(no_key=True).values_list("pk", flat=True))
        return [head for head in heads if head.trajectory in there]

    def _save(self, *, position: int | None = None, **added: int) -> None:
        """Add to the run's counts. Raises JobLost where the run is no longer ours, so that nothing is written."""
        fields: dict[str, Any] = {name: F(name) + number for name, number in added.items()}
        if position is not None:
            fields["position"] = position
        held = JudgeRun.objects.filter(pk=self.job.pk, claim=self.job.claim, state=JobState.RUNNING)
        if not held.update(heartbeat_at=Now(), **fields):
            raise JobLost(f"{self.job} is no longer ours")
        for name, number in added.items():
            setattr(self.job, name, getattr(self.job, name) + number)
        if position is not None:
            self.job.position = position

    def _beat(self) -> None:
        """A heartbeat every second; notices that the run is to stop, and says so where it is waited for answers."""
        if time.monotonic() - self.beaten_at < _BEAT_SECONDS:
            return
        self.beaten_at = time.monotonic()
        try:
            beat_job(self.job)
        except JobStopped:
            advice = "No further question was asked, and what was answered is kept. Continue to ask the rest."
            self._end(JobState.STOPPED, advice=advice)

    def _end(self, state: JobState, **fields: str) -> None:
        """Ask nothing more; the first reason counts."""
        self.stop.set()
        if self.ending is None:
            self.ending = {"state": state, "stage": "", **fields}
