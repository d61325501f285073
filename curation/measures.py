"""What is counted in the content of a trajectory. Pure; never raises for a valid document.

It is counted at import and at each correction, and holds for the newest revision. Texts are looked at by their ends
only, so that counting costs little of what parsing does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.formats.document import Document, Step, text_of
from curation.formats.react_text import ends_in_action, find_action, speaks_react
from curation.revisions.tool_schema import count_misfits, list_tool_names

LONGEST_CYCLE = 4
FEWEST_REPEATS = 3
_END = 300
_LONGEST_ERROR = 4_000
_FLAGS = ("is_error", "isError", "error")
_CODES = ("exit_code", "exitCode", "returncode", "return_code")
_OBSERVATION = re.compile(r"\s*Observation(?: \d+)?:")
_ERROR = re.compile(
    r"""
    (?:\s*+Observation(?:\ \d+)?:)? [\s\[(<*]*+
    (?: errors?\b(?:[^:\n]{0,60}:|\W*$)                          # Error: flight not available; ERROR executing f: ...
      | traceback\ \(most\ recent\ call\ last\)
      | \w*(?:Error|Exception)\b[^\n]{0,3}:                     # ValueError: ...
      | tool_use_error>                                         # Claude Code
      | (?:/(?:usr/)?bin/)?(?:ba|da|z)?sh:\ | fatal:\           # bash: ponyc: command not found
      | exit\ code:?\ [1-9]                                     # Claude Code and Codex
      | returncode>-?[1-9]                                      # mini-swe-agent
      | \{\s*"error"\s*+:\s*+(?!null|""|false|\{\})
      | \{\s*"status"\s*:\s*"error"
      | your\ proposed\ edit\ has\ introduced\ new\ syntax\ error   # SWE-agent
      | [^\n]{0,200}\ generated\ an\ exception:                 # FireAct
    )""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_BAD_EXIT = re.compile(r"(?:exit code:? -?[1-9]\d*\W{0,5}|\"exit_code\": ?-?[1-9]\d*[^\n]{0,80})\Z", re.IGNORECASE)
_OVERFLOW = re.compile(
    r"""context_length_exceeded | exit_context | (?:exceed_)?context_size_error | context_window_exceeded
      | context_?window_?exceed(?:ed)?_?error
      | maximum\ context\ length\ (?:is|of)\ | prompt\ is\ too\ long
      | exceed(?:s|ed|ing)?\ (?:the\ |its\ |your\ |this\ |model'?s?\ |maximum\ |max\ |available\ |allowed\ )*context
      | context\ (?:window|length|limit|size)\ (?:was\ |is\ |has\ been\ )?exceeded
      | input\ token\ count\b.{0,60}exceeds\ the\ maximum | ran\ out\ of\ (?:room\ in\ the\ model's\ )?context
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class Measures:
    """By the names of curation.models.trajectory.Measures.

    Characters are those of text, of reasoning, of the names and arguments of calls, and of what came back.
    `agent_character_count`: of the agent's steps that are trained on, without what came back, as
    curation.revisions.count_agent_characters counts them in messages.
    `error_count`: observations that report an error, see `reports_error`. An observation is a result of an agent's
    step, or a later step of the environment, or of the user where it begins with "Observation:".
    `unknown_tool_count`: calls of tools that the document does not define; 0 where it defines none.
    `bad_argument_count`: calls whose arguments are not a JSON object, or do not fit the schema of their tool.
    `unreadable_count`: turns of an agent that acts by ReAct text which do not end in an action, see
    curation.formats.react_text.
    `loop_length`: steps of the agent in the longest run of a cycle, see `find_loop`. Two steps are the same where they
    called the same tools with the same arguments (or wrote the same ReAct action; without either, the same text), and
    the same was observed before the next.
    `context_overflow`: see `exceeded_context`.
    """

    step_count: int
    tool_call_count: int
    character_count: int
    agent_character_count: int
    error_count: int
    unknown_tool_count: int
    bad_argument_count: int
    unreadable_count: int
    loop_length: int
    context_overflow: bool


def measure_document(document: Document) -> Measures:
    tools = document.agent.tool_definitions
    known = set(list_tool_names(tools))
    calls_tools = any(step.tool_calls for step in document.steps)
    react = not calls_tools and any(
        step.source == "agent" and speaks_react(text_of(step.message)) for step in document.steps
    )
    characters = agent_characters = errors = unknown = bad = unreadable = call_count = 0
    objects: list[tuple[str, Mapping[str, Any]]] = []
    turns: list[int] = []  # hashes, since the texts themselves may be a hundred megabytes
    for step in document.steps:
        text = text_of(step.message)
        said = len(text) + len(step.reasoning_content or "")
        observed = []
        for result in step.observation.results if step.observation else ():
            content = text_of(result.content)
            characters += len(content)
            errors += reports_error(content, result.extra)
            observed.append(content)
        if step.source == "agent":
            action: object = text
            if react:
                unreadable += not ends_in_action(text)
                action = find_action(text) or text
            elif step.tool_calls:
                action = tuple((call.function_name, call.arguments_raw) for call in step.tool_calls)
            for call in step.tool_calls or ():
                call_count += 1
                said += len(call.function_name) + len(call.arguments_raw)
                name = call.function_name.strip()
                unknown += bool(known) and name not in known
                if call.arguments is None:
                    bad += 1
                else:
                    objects.append((name, call.arguments))
            agent_characters += said if step.trainable else 0
            turns.append(hash((action, *observed)))
        elif turns:
            turns[-1] = hash((turns[-1], text, *observed))
            errors += (step.actor == "environment" or _OBSERVATION.match(text) is not None) and reports_error(text)
        characters += said
    return Measures(
        step_count=len(document.steps),
        tool_call_count=call_count,
        character_count=characters,
        agent_character_count=agent_characters,
        error_count=errors,
        unknown_tool_count=unknown,
        bad_argument_count=bad + count_misfits(objects, tools),
        unreadable_count=unreadable,
        loop_length=find_loop(turns),
        context_overflow=exceeded_context(document),
    )


def reports_error(text: str, extra: Mapping[str, Any] | None = None) -> bool:
    """Whether what came back is an error: by the recorder's mark, by how its text begins, or by its last line.

    A mark is `is_error` or `error` with anything in it, or an exit code other than 0, in the result's extra or in the
    metadata there. A text begins with "Error ...:", "Traceback", the name of an exception, a shell's complaint, an exit
    code other than 0 or a JSON object with an error, or ends with such an exit code. Two sentences that SWE-agent and
    FireAct put in the place of a result count, too.
    """
    if extra and _is_marked(extra):
        return True
    if _ERROR.match(text, 0, _END):
        return True
    return "xit" in (end := text[-_END:]) and _BAD_EXIT.search(end) is not None


def find_loop(turns: Sequence[object]) -> int:
    """The length of the longest run in which a cycle of 1 to 4 turns is repeated: it occurs 3 times or more, whole.

    What is left of one more cycle at the end of the run belongs to it. 0 where nothing is repeated so often.
    """
    longest = 0
    for cycle in range(1, LONGEST_CYCLE + 1):
        same = 0
        for earlier, later in zip(turns, turns[cycle:], strict=False):
            same = same + 1 if earlier == later else 0
            if same >= (FEWEST_REPEATS - 1) * cycle:
                longest = max(longest, same + cycle)
    return longest


def exceeded_context(document: Document) -> bool:
    """Whether the attempt ended because its context window was exceeded.

    Said by the outcome's error, by the exit status or limit that SWE-agent, mini-swe-agent and Inspect record, by what
    the last turn of the agent got back or a later step said, or by that turn itself where it is no longer than such a
    complaint; in the words of the model servers.
    """
    extra = document.extra or {}
    info, limit = extra.get("info"), extra.get("limit")
    marks = [document.outcome.error, info.get("exit_status") if isinstance(info, dict) else None]
    if isinstance(limit, dict) and limit.get("type") == "context":
        return True
    if any(isinstance(mark, str) and _tells_overflow(mark[:_LONGEST_ERROR]) for mark in marks):
        return True
    return any(_tells_overflow(text[:_END]) for text in _last_texts(document.steps))


def _tells_overflow(text: str) -> bool:
    lowered = text.lower()  # most texts have none of these words, and cost no search
    return any(word in lowered for word in ("context", "too long", "token")) and _OVERFLOW.search(text) is not None


def _last_texts(steps: Sequence[Step]) -> Iterable[str]:
    for step in reversed(steps):
        text = text_of(step.message)
        if step.source == "agent":
            for result in step.observation.results if step.observation else ():
                yield text_of(result.content)
            if len(text) <= _END:
                yield text
            return
        yield text


def _is_marked(extra: Mapping[str, Any]) -> bool:
    metadata = extra.get("metadata")
    for marks in (extra, metadata if isinstance(metadata, Mapping) else {}):
        if any(marks.get(flag) for flag in _FLAGS):
            return True
        codes = (marks.get(code) for code in _CODES)
        if any(type(code) is int and code != 0 for code in codes):
            return True
    return False
