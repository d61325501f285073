"""A conversation and what stood beside it, as a document: what most formats come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from curation.formats.base import ImportContext, RecordError, describe_source
from curation.formats.decoding import Loader
from curation.formats.document import (
    Agent,
    Document,
    Outcome,
    Status,
    Step,
    Task,
    Trial,
    fingerprint_instruction,
    text_of,
)
from curation.formats.messages import messages_to_steps
from curation.formats.outcomes import read_index, read_reward, read_rewards, read_task_id


@dataclass(kw_only=True)
class Conversation:
    """Chat messages and what a record says beside them, as recorded: any of it may have the wrong type.

    `success` and `status` are set only where the record says so itself. Without a task id the task is known by the
    text of its `instruction`, which is the first request unless the record names another. `text_actions`: the agent
    acts by what it writes, so that results answer no call.
    """

    messages: Any
    text_actions: bool = False
    tools: Any = None
    agent: str = "agent"
    agent_version: Any = None
    model: Any = None
    session_id: Any = None
    task_id: Any = None
    dataset: str | None = None
    instruction: Any = None
    trial: Any = None
    seed: Any = None
    group: str | None = None
    reward: Any = None
    success: Any = None
    rewards: Any = None
    status: Status | None = None
    error: Any = None
    scorer: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    subagents: list[dict[str, Any]] = field(default_factory=list)


def build_document(
    conversation: Conversation, *, format: str, index: int, context: ImportContext, version: str | None = None
) -> tuple[Document, list[str]]:
    """The document, and what was odd. Raises RecordError for what has no messages, or messages that are none."""
    if not isinstance(conversation.messages, list) or not conversation.messages:
        raise RecordError("it has no messages")
    steps, warnings = messages_to_steps(conversation.messages, text_actions=conversation.text_actions)
    tools, odd_tools = read_tools(conversation.tools)
    outcome, odd_outcome = _read_outcome(conversation)
    instruction = _text(conversation.instruction) or first_request(steps)
    fingerprint = fingerprint_instruction(instruction)
    seed = conversation.seed
    document = Document(
        session_id=_text(conversation.session_id),
        agent=Agent(
            name=conversation.agent,
            version=_text(conversation.agent_version) or "unknown",
            model_name=_text(conversation.model) or context.model,
            tool_definitions=tools,
        ),
        steps=steps,
        subagent_trajectories=conversation.subagents or None,
        extra={key: value for key, value in conversation.extra.items() if value is not None} or None,
        source=describe_source(format, context, index=index, version=version),
        task=Task(
            id=read_task_id(conversation.task_id) or fingerprint[:16],
            dataset=(context.dataset or conversation.dataset or "")[:120] or None,
            fingerprint=fingerprint,
            instruction=instruction,
        ),
        trial=Trial(
            index=read_index(conversation.trial),
            seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
            group=conversation.group,
        ),
        outcome=outcome,
    )
    return document, warnings + odd_tools + odd_outcome


def first_request(steps: list[Step]) -> str:
    """The first user text: what the task says where nothing else does."""
    return next((text_of(step.message) for step in steps if step.actor == "user"), "")


def read_tools(value: Any) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """Tool definitions, a list or the JSON text of one, and what was odd about them."""
    if isinstance(value, str) and value:
        try:
            value = Loader().load(value)[0]
        except RecordError:
            return None, ["`tools` that are not JSON, left out"]
    if value is None or value == "":
        return None, []
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        return None, ["`tools` that are not a list of objects, left out"]
    return value, []


def _read_outcome(conversation: Conversation) -> tuple[Outcome, list[str]]:
    reward, success, odd = read_reward(conversation.reward)
    if isinstance(conversation.success, bool):
        success = conversation.success
    known = reward is not None or success is not None
    outcome = Outcome(
        reward=reward,
        success=success,
        rewards=read_rewards(conversation.rewards),
        status=conversation.status or ("completed" if known else "unknown"),
        error=None if conversation.error in (None, "") else str(conversation.error)[:4000],
        scorer=conversation.scorer,
    )
    return outcome, odd


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
