"""Harbor's trial folders: beside an ATIF trajectory, `result.json` says which task it was and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation.formats.base import ImportContext, RecordError
from curation.formats.decoding import Loader
from curation.formats.document import Document, Outcome, Status
from curation.formats.outcomes import read_reward, read_rewards, read_task_id

_PLACES = ("result.json", "../result.json")
_CUT_SHORT = ("AgentTimeoutError", "AgentTimeout", "ContextWindowExceededError", "OutputLengthExceededError")


def complete_from_trial(document: Document, context: ImportContext) -> tuple[Document, list[str]]:
    """The document with what the trial's result says of its task and outcome; as it is where there is no result."""
    result = _find_result(context)
    if result is None:
        return document, []
    failure = _object(result.get("exception_info"))
    kind = str(failure.get("exception_type") or "")
    rewards = _object(_object(result.get("verifier_result")).get("rewards"))
    reward, success, odd = read_reward(rewards.get("reward", next(iter(rewards.values()), None)))
    status: Status = "completed" if reward is not None else "unknown"
    if kind:
        status = "truncated" if kind in _CUT_SHORT else "crashed"
    outcome = Outcome(
        reward=reward,
        success=success,
        rewards=read_rewards(rewards),
        status=status,
        error=f"{kind}: {failure.get('exception_message') or ''}"[:4000] if kind else None,
        scorer="Harbor verifier" if rewards else None,
    )
    name = read_task_id(result.get("task_name")) or document.task.id
    source = result.get("source")
    task = document.task.model_copy(
        update={
            "id": name[:200],
            "dataset": document.task.dataset or (source[:120] if isinstance(source, str) and source else None),
        }
    )
    trial = document.trial.model_copy(update={"group": read_task_id(result.get("trial_name"))})
    model = _object(_object(result.get("agent_info")).get("model_info")).get("name")
    agent = document.agent
    if agent.model_name is None and isinstance(model, str):
        agent = agent.model_copy(update={"model_name": model})
    return document.model_copy(update={"task": task, "trial": trial, "outcome": outcome, "agent": agent}), odd


def _find_result(context: ImportContext) -> Mapping[str, Any] | None:
    for place in _PLACES:
        data = context.read_beside(place)
        if data is None:
            continue
        try:
            value = Loader().load(data.decode("utf-8", "surrogateescape"))[0]
        except RecordError:
            continue
        if isinstance(value, dict) and "task_name" in value:
            return value
    return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
