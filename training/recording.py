"""Recording what agents do in an environment as documents, and the demo set made that way."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from curation.formats.document import (
    Agent,
    Document,
    Observation,
    ObservationResult,
    Outcome,
    SourceFile,
    Step,
    Task,
    ToolCall,
    Trial,
    fingerprint_instruction,
    text_parts,
)
from training.environments.base import ExpertEnvironment, Info
from training.environments.registry import make_environment

FORMAT = "whetstone"
DEMO_FILE = Path(__file__).parent / "demo" / "babyai.jsonl.gz"


class Policy(Protocol):
    """An agent: given where the episode stands, a thought and one of the environment's actions."""

    @property
    def name(self) -> str: ...

    def choose(self, environment: ExpertEnvironment, info: Info, rng: random.Random) -> tuple[str, str]: ...


@dataclass(frozen=True)
class ExpertPolicy:
    """Does what the environment's expert advises."""

    name: str = "expert bot"

    def choose(self, environment: ExpertEnvironment, info: Info, rng: random.Random) -> tuple[str, str]:
        return environment.oracle()


@dataclass(frozen=True)
class WeakenedPolicy:
    """The expert, but with probability `epsilon` it takes a random possible action, and gives a reason."""

    epsilon: float

    @property
    def name(self) -> str:
        return f"weakened expert bot ({100 * self.epsilon:.0f} %)"

    def choose(self, environment: ExpertEnvironment, info: Info, rng: random.Random) -> tuple[str, str]:
        advice = environment.oracle()
        if rng.random() >= self.epsilon:
            return advice
        action = rng.choice(info.get("admissible") or list(environment.actions))
        return advice if action == advice[1] else (environment.explain(action), action)


@dataclass(frozen=True)
class RandomPolicy:
    """Takes any action that is possible."""

    name: str = "random"

    def choose(self, environment: ExpertEnvironment, info: Info, rng: random.Random) -> tuple[str, str]:
        action = rng.choice(info.get("admissible") or list(environment.actions))
        return environment.explain(action), action


def record_episode(
    environment: ExpertEnvironment, policy: Policy, *, seed: int, level: str, trial: int = 0
) -> Document:
    """One episode as a document. The same arguments give the same document.

    Each agent step is a thought, one call of the tool `act`, and what was seen then. The episode is "completed" where
    the environment ended it, and "truncated" where the steps ran out.
    """
    rng = random.Random(f"{environment.name}/{level}/{seed}/{trial}/{policy.name}")  # noqa: S311 - not for secrets
    text, info = environment.reset(seed=seed, options={"level": level})
    mission = info["mission"]
    steps = [
        Step(step_id=1, source="system", message=text_parts(environment.rules), role_raw="system", actor="environment"),
        Step(
            step_id=2,
            source="user",
            message=text_parts(f"Mission: {mission}\n\n{text}"),
            role_raw="user",
            actor="user",
        ),
    ]
    reward, terminated, truncated = 0.0, False, False
    while not (terminated or truncated):
        thought, action = policy.choose(environment, info, rng)
        text, reward, terminated, truncated, info = environment.step(action)
        steps.append(_make_step(len(steps) + 1, thought=thought, action=action, seen=text))
    return Document(
        agent=Agent(
            name=policy.name,
            version="1",
            model_name=policy.name,
            tool_definitions=[describe_tool(environment.actions)],
        ),
        steps=steps,
        source=SourceFile(format=FORMAT),
        task=Task(
            id=f"{environment.name}/{level}/{seed}",
            dataset=environment.name,
            fingerprint=fingerprint_instruction(mission),
            instruction=mission,
        ),
        trial=Trial(index=trial),
        outcome=Outcome(
            reward=reward,
            success=info["success"],
            status="completed" if terminated else "truncated",
            scorer=environment.name,
        ),
    )


def describe_tool(actions: Sequence[str]) -> dict[str, Any]:
    """The one tool of an agent in an environment, as OpenAI's tool definition."""
    return {
        "type": "function",
        "function": {
            "name": "act",
            "description": "Take one action in the world.",
            "parameters": {
                "type": "object",
                "properties": {"action": {"type": "string", "enum": list(actions)}},
                "required": ["action"],
            },
        },
    }


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Write documents as gzipped lines and say how many; the same documents give the same bytes."""
    count = 0
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
        for document in documents:
            line = json.dumps(document.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
            packed.write(line.encode() + b"\n")
            count += 1
    return count


@dataclass(frozen=True)
class DemoPart:
    """Tasks of one level, each attempted once by every policy."""

    level: str
    seeds: range
    policies: tuple[Policy, ...]


_EXPERT = ExpertPolicy()
_STRONG, _FAIR, _WEAK, _POOR, _ERRATIC = (WeakenedPolicy(epsilon) for epsilon in (0.15, 0.35, 0.5, 0.65, 0.8))
DEMO_PLAN = (
    DemoPart("GoToObj", range(100, 112), (_EXPERT, _STRONG, _FAIR)),
    DemoPart("GoToLocal", range(100, 116), (_EXPERT, _STRONG, _FAIR, _POOR)),
    DemoPart("PutNextS5N3", range(100, 114), (_EXPERT, _FAIR, _WEAK, _POOR)),
    DemoPart("GoToSeqS5R2", range(100, 110), (_EXPERT, _FAIR, _WEAK, _POOR)),
    DemoPart("UnlockPickup", range(100, 110), (_EXPERT, _WEAK, _POOR, _ERRATIC)),
    DemoPart("BlockedUnlockPickup", range(100, 104), (_EXPERT, _WEAK, _POOR, _ERRATIC)),
    DemoPart("BlockedUnlockPickup", range(104, 112), (_WEAK, _POOR, _POOR, _ERRATIC)),
)
"""Easy and hard levels, strong and weak agents. Without the expert, most of the hardest tasks are solved by nobody."""


def record_demo(path: Path, *, plan: Sequence[DemoPart] = DEMO_PLAN) -> int:
    """Record the demo set to a gzipped file and say how many attempts it holds. Raises OSError as the file does."""
    return write_documents(path, record_plan(plan))


def record_plan(plan: Sequence[DemoPart]) -> Iterator[Document]:
    """Every attempt of a plan, task by task."""
    environment = make_environment("babyai")
    if not isinstance(environment, ExpertEnvironment):
        raise TypeError("the demo needs an environment with an expert")
    for part in plan:
        for seed in part.seeds:
            for trial, policy in enumerate(part.policies):
                yield record_episode(environment, policy, seed=seed, level=part.level, trial=trial)


def _make_step(number: int, *, thought: str, action: str, seen: str) -> Step:
    call_id = f"{number}.1"
    arguments = {"action": action}
    call = ToolCall(tool_call_id=call_id, function_name="act", arguments=arguments, arguments_raw=json.dumps(arguments))
    return Step(
        step_id=number,
        source="agent",
        message=text_parts(thought),
        tool_calls=[call],
        observation=Observation(results=[ObservationResult(source_call_id=call_id, content=text_parts(seen))]),
        role_raw="assistant",
        actor="assistant",
        trainable=True,
    )
