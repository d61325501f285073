"""Judges and their runs for tests: started as a page would, run as a worker would."""

from __future__ import annotations

from typing import Any

from curation.filters import choose_trajectories
from curation.models import Judge, JudgeRun, Opinion, Trajectory
from curation.permissions import Access
from curation.services.judge_runs import run_judge
from curation.services.judges import JudgeDraft, create_judge, create_judge_run
from tests.judges.endpoint import FakeEndpoint

CRITERIA = [
    {
        "key": "care",
        "name": "Care",
        "description": "Does it check what it did?",
        "levels": [{"value": 1, "label": "never"}, {"value": 2, "label": "always"}],
    }
]


def make_draft(endpoint: FakeEndpoint | None = None, **fields: Any) -> JudgeDraft:
    base_url = endpoint.base_url if endpoint else "https://models.example/v1"
    plain = {"name": "Careful", "base_url": base_url, "model": "judge-1", "instructions": "Accept what is careful."}
    return JudgeDraft(**(plain | fields))


def make_judge(access: Access, endpoint: FakeEndpoint | None = None, **fields: Any) -> Judge:
    return create_judge(access, make_draft(endpoint, **fields))


def start(access: Access, judge: Judge, conditions: dict[str, str] | None = None, **fields: Any) -> JudgeRun:
    chosen = choose_trajectories(access.project, conditions or {})
    return create_judge_run(access, judge, conditions=conditions or {}, chosen=chosen, **fields)


def work(run: JudgeRun) -> JudgeRun:
    """What a worker does with it."""
    run_judge(run.pk, choose_trajectories)
    run.refresh_from_db()
    return run


def put(access: Access, judge: Judge, conditions: dict[str, str] | None = None, **fields: Any) -> JudgeRun:
    return work(start(access, judge, conditions, **fields))


def say(judge: Judge, trajectory: Trajectory, value: str = "accept", score: float = 0.9, **fields: Any) -> Opinion:
    """An opinion on the newest revision."""
    revision = trajectory.revisions.get(number=trajectory.head_number)
    return Opinion.objects.create(
        judge=judge,
        trajectory=trajectory,
        revision=revision,
        content_key=f"{revision.pk:064d}",
        value=value,
        score=score,
        **({"reason": "Because."} | fields),
    )
