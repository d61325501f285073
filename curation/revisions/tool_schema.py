"""Whether a tool call fits what its trajectory says of its tools. Advice: agents do make calls that do not fit.

The schemas are hostile input like everything in a trajectory. They are bounded in size, depth, steps and time;
nothing is fetched for a `$ref`; and what could hang or escape these bounds is not checked: `pattern` and
`patternProperties` (regular expressions of somebody else), `unevaluatedItems` and `unevaluatedProperties` (they
follow references on their own account), `uniqueItems` of long lists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import jsonschema
import orjson
from jsonschema.exceptions import ValidationError
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing.exceptions import Unresolvable

from curation.formats.cleaning import clean_text
from curation.revisions.arguments import ArgumentsError, parse_arguments

MAX_PROBLEMS = 10
_MAX_NAMES = 500
_MAX_NAME = 200
_MAX_NODES = 4_000
_MAX_LEVELS = 40
_MAX_ARGUMENTS = 100_000
_MAX_UNIQUE = 500
_MAX_STEPS = 20_000
_MAX_SECONDS = 0.5
_MAX_STEPS_OF_ALL = 200_000
_MAX_SECONDS_OF_ALL = 3.0
_MAX_LINE = 300

_NOT_CHECKED = ("pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
_DRAFTS = {
    f"http://json-schema.org/draft-0{number}/schema": draft
    for number, draft in (
        (4, jsonschema.Draft4Validator),
        (6, jsonschema.Draft6Validator),
        (7, jsonschema.Draft7Validator),
    )
} | {"https://json-schema.org/draft/2019-09/schema": jsonschema.Draft201909Validator}

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


@dataclass(frozen=True)
class CallCheck:
    """What is wrong with a call, a sentence each; and what can be said where nothing is."""

    problems: tuple[str, ...] = ()
    remark: str = ""


class _TooMuch(Exception):
    """A schema or a check of it that goes beyond its bounds."""


@dataclass
class _Budget:
    steps: int = _MAX_STEPS
    until: float = field(default_factory=lambda: time.monotonic() + _MAX_SECONDS)
    skipped: bool = False

    def spend(self) -> None:
        self.steps -= 1
        if self.steps < 0 or time.monotonic() > self.until:
            raise _TooMuch


# Keywords are functions of the validator's class; what one check may still spend is handed to them here.
_budget: ContextVar[_Budget] = ContextVar("budget")


def list_tool_names(tools: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """The names of the tools that a trajectory defines, in its order, each once."""
    named = (_name_of(tool) for tool in islice(tools or (), _MAX_NAMES))
    return list(dict.fromkeys(name for name in named if name and len(name) <= _MAX_NAME))


def check_call(name: str, arguments: str, tools: Sequence[Mapping[str, Any]] | None) -> CallCheck:
    """A call's tool and arguments (as typed) against the definitions, of OpenAI's shape or bare. Never raises."""
    name = name.strip()
    known = list_tool_names(tools)
    problems = []
    if not name:
        problems.append("The call has no name.")
    elif known and name not in known:
        problems.append(_tell_unknown(name, known))
    try:
        parsed, _ = parse_arguments(arguments)
    except ArgumentsError as error:
        text = str(error)
        return CallCheck((*problems, f"{text[0].upper()}{text[1:]}."))
    if problems or not known:
        return CallCheck(
            tuple(problems), "" if problems else "The recording defines no tools: only the JSON is checked."
        )
    parameters = _parameters_of(next(tool for tool in tools or () if _name_of(tool) == name))
    if parameters is None:
        return CallCheck(remark=f"{name} is known; the recording does not say what arguments it takes.")
    if len(arguments) > _MAX_ARGUMENTS:
        return CallCheck(remark=f"{name} is known; the arguments are too long to be checked against its schema.")
    return _check_schema(name, parsed, parameters)


def count_misfits(calls: Sequence[tuple[str, Mapping[str, Any]]], tools: Sequence[Mapping[str, Any]] | None) -> int:
    """How many calls (name, arguments) do not fit the schema of their tool.

    What cannot be checked, or no longer within the bounds of all calls together, is not counted; nor is a call of a
    tool whose schema is itself invalid. Never raises.
    """
    validators = _compile_tools(tools)
    if not validators:
        return 0
    count = 0
    token = _budget.set(_Budget(_MAX_STEPS_OF_ALL, time.monotonic() + _MAX_SECONDS_OF_ALL))
    try:
        for name, arguments in calls:
            validator = validators.get(name)
            count += validator is not None and not _fits(validator, arguments)
    except _TooMuch:
        pass
    finally:
        _budget.reset(token)
    return count


def _fits(validator: Any, arguments: Mapping[str, Any]) -> bool:
    try:
        return next(validator.iter_errors(arguments), None) is None
    except _TooMuch:
        raise
    except Exception:  # a reference that leads nowhere, a schema without end
        return True


def _compile_tools(tools: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """The tools that say what arguments they take, by name. Attempts of one file define the same tools."""
    try:
        return _compile(orjson.dumps(tools)) if tools else {}
    except (TypeError, RecursionError):  # a number beyond 64 bits, or nested too deeply
        return {}


@lru_cache(maxsize=32)
def _compile(tools: bytes) -> dict[str, Any]:
    validators: dict[str, Any] = {}
    for tool in islice(orjson.loads(tools), _MAX_NAMES):
        name, parameters = _name_of(tool), _parameters_of(tool)
        if name and parameters is not None and name not in validators:
            validators[name] = _compile_schema(parameters)
    return validators


def _compile_schema(parameters: Any) -> Any:
    """The validator of a schema; None where it is invalid, or too large to be used."""
    token = _budget.set(_Budget())
    try:
        validator, flaw = _prepare(parameters)
    except Exception:  # a schema can make the library raise almost anything
        return None
    finally:
        _budget.reset(token)
    return None if flaw else validator


def _tell_unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name[:_MAX_NAME], known, n=1, cutoff=0.5)
    hint = f" Did they mean {near[0]}?" if near else ""
    return f"There is no tool {_shorten(name, 80)} in this trajectory.{hint}"


def _check_schema(name: str, arguments: dict[str, Any], parameters: Any) -> CallCheck:
    budget = _Budget()
    token = _budget.set(budget)
    try:
        validator, flaw = _prepare(parameters)
        if flaw is not None:
            return CallCheck((f"The schema of {name} is itself invalid: {_describe(flaw, 'schema')}",))
        budget.skipped = False  # the schema of schemas has patterns too
        errors = list(islice(validator.iter_errors(arguments), MAX_PROBLEMS + 1))
    except (_TooMuch, RecursionError):
        return CallCheck(remark=f"The schema of {name} is too large or too deep to check against.")
    except Unresolvable as error:
        ref = _shorten(str(error.ref), 120)
        return CallCheck(remark=f"The schema of {name} refers to {ref}, which is not part of it: not checked.")
    except Exception as error:  # a schema can make the library raise almost anything
        return CallCheck((f"The schema of {name} cannot be used: {_shorten(str(error), 120)}",))
    finally:
        _budget.reset(token)
    problems = dict.fromkeys(_describe(error, "arguments") for error in errors[:MAX_PROBLEMS])
    if len(errors) > MAX_PROBLEMS:
        problems["And more."] = None
    exception = " (its patterns are not checked)" if budget.skipped else ""
    return CallCheck(tuple(problems), "" if problems else f"Fits the schema of {name}{exception}.")


def _prepare(parameters: Any) -> tuple[Any, ValidationError | None]:
    """The validator of a schema, and what is wrong with the schema itself. Spends the budget; may raise anything."""
    draft = _bounded(_draft_of(parameters))
    schema = _copy(parameters, [_MAX_NODES], level=0)
    flaw = next(draft(draft.META_SCHEMA, registry=SPECIFICATIONS).iter_errors(schema), None)
    return draft(schema, registry=SPECIFICATIONS), flaw


def _name_of(tool: Any) -> str:
    described = _described(tool)
    name = described.get("name") if described else None
    return name.strip() if isinstance(name, str) else ""


def _parameters_of(tool: Any) -> Any:
    described = _described(tool) or {}
    return next((described[key] for key in ("parameters", "input_schema") if described.get(key) is not None), None)


def _described(tool: Any) -> Mapping[str, Any] | None:
    """A definition without the wrapper that OpenAI puts around it."""
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
    return inner if isinstance(inner, Mapping) else None


def _draft_of(parameters: Any) -> Any:
    """The draft that a schema names; the newest where it names none."""
    named = parameters.get("$schema") if isinstance(parameters, Mapping) else None
    wanted = named.rstrip("#") if isinstance(named, str) else ""
    return _DRAFTS.get(wanted, jsonschema.Draft202012Validator)


def _copy(value: Any, left: list[int], *, level: int) -> Any:
    """A schema without the marks by which any part of it could choose another, unbounded draft. Raises _TooMuch."""
    left[0] -= 1
    if left[0] < 0 or level > _MAX_LEVELS:
        raise _TooMuch
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if key != "$schema" or not isinstance(item, str)}
        return {key: _copy(item, left, level=level + 1) for key, item in kept.items()}
    return [_copy(item, left, level=level + 1) for item in value] if isinstance(value, list) else value


@cache
def _bounded(draft: Any) -> Any:
    """A draft whose keywords spend the budget of the check, without those that could hang it."""
    keywords: dict[str, Keyword] = {name: _counted(function) for name, function in draft.VALIDATORS.items()}
    keywords |= {name: _skip for name in _NOT_CHECKED if name in keywords}
    keywords["uniqueItems"] = _unless(keywords["uniqueItems"], lambda value, schema: len(value) > _MAX_UNIQUE)
    # Which properties are additional is for the patterns to say.
    keywords["additionalProperties"] = _unless(
        keywords["additionalProperties"], lambda value, schema: "patternProperties" in schema
    )
    return jsonschema.validators.extend(draft, keywords)  # type: ignore[no-untyped-call]  # its stubs name no types


def _counted(function: Keyword) -> Keyword:
    def spend_and_check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        _budget.get().spend()
        return function(validator, value, instance, schema)

    return spend_and_check


def _unless(function: Keyword, passes: Callable[[Any, Any], bool]) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        sized = isinstance(instance, list | dict)
        return None if sized and passes(instance, schema) else function(validator, value, instance, schema)

    return check


def _skip(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    _budget.get().skipped = True


def _describe(error: ValidationError, root: str) -> str:
    return _shorten(f"{root}{error.json_path[1:]}: {error.message}", _MAX_LINE)


def _shorten(text: str, length: int) -> str:
    text = clean_text(text)[0]
    return text if len(text) <= length else f"{text[:length]}…"
