"""Calls against their tools' schemas: advice with a place, for hostile schemas too, in bounded time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from curation.revisions.tool_schema import MAX_PROBLEMS, CallCheck, check_call, list_tool_names

LOOK = {
    "type": "object",
    "properties": {"where": {"type": "string"}, "pattern": {"type": "string"}, "deep": {"items": {"type": "integer"}}},
    "required": ["where"],
    "additionalProperties": False,
}


def check(parameters: Any, arguments: Any, name: str = "look") -> CallCheck:
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return check_call(name, raw, [{"type": "function", "function": {"name": "look", "parameters": parameters}}])


@pytest.mark.parametrize("tool", [{"name": "look", "parameters": LOOK}, {"name": "look", "input_schema": LOOK}])
def test_definitions_are_read_bare_and_wrapped(tool: dict[str, Any]) -> None:
    for definition in (tool, {"type": "function", "function": tool}):
        assert check_call("look", '{"where": "up"}', [definition]).remark == "Fits the schema of look."
        assert check_call("look", "{}", [definition]).problems == ("arguments: 'where' is a required property",)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"where": "up",\n "deep" 2}', "The arguments are not JSON: Expecting ':' delimiter at line 2, character 9."),
        ("[1]", "The arguments are not a JSON object but a list."),
        ({"where": 3}, "arguments.where: 3 is not of type 'string'"),
        ({"where": "up", "deep": [1, "x"]}, "arguments.deep[1]: 'x' is not of type 'integer'"),
        ({"where": "up", "odd": 1}, "arguments: Additional properties are not allowed ('odd' was unexpected)"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(arguments: Any, problem: str) -> None:
    assert check(LOOK, arguments).problems == (problem,)


def test_an_unknown_tool_is_told_with_the_nearest_one() -> None:
    (problem,) = check(LOOK, {"where": "up"}, name="loook").problems
    assert problem == "There is no tool loook in this trajectory. Did they mean look?"
    assert check_call("anything", "{}", None).problems == ()
    assert check_call("anything", "{}", [{"odd": 1}, {"name": 3}]).problems == ()
    assert check_call("", "{}", None).problems == ("The call has no name.",)


def test_a_parameter_may_be_called_pattern() -> None:
    assert check(LOOK, {"where": "up", "pattern": "x"}).problems == ()
    assert check(LOOK, {"where": "up", "pattern": 1}).problems != ()


def test_there_are_at_most_ten_problems_and_each_is_short() -> None:
    schema = {"properties": {str(number): {"enum": ["x" * 5_000]} for number in range(30)}}
    problems = check(schema, {str(number): "y" * 3_000 for number in range(30)}).problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == "And more."
    assert max(map(len, problems)) < 320


@pytest.mark.parametrize("schema", [{"type": "objec"}, {"properties": 3}, "x", [], {"multipleOf": 0}, {"$schema": {}}])
def test_a_schema_that_is_itself_invalid_is_said_to_be(schema: Any) -> None:
    (problem,) = check(schema, {}).problems
    assert problem.startswith("The schema of look is itself invalid: schema")


@pytest.mark.parametrize("address", ["http://169.254.169.254/latest", "file:///etc/passwd", "ftp://x", "other.json"])
def test_nothing_is_fetched_for_a_reference(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(f"fetched {arguments}")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    checked = check({"properties": {"a": {"$ref": address}}}, {"a": 1})
    assert checked.problems == ()
    assert f"refers to {address}, which is not part of it" in checked.remark


def doubling(depth: int) -> dict[str, Any]:
    parts = {f"x{n}": {"allOf": [{"$ref": f"#/$defs/x{n + 1}"}] * 2} for n in range(depth)}
    return {"$defs": parts | {f"x{depth}": {"type": "object"}}, "$ref": "#/$defs/x0"}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


EVIL = "(a+)+$"
TRAP = "a" * 40 + "b"
HOSTILE: list[tuple[Any, Any]] = [
    ({"properties": {"a": {"pattern": EVIL}}}, {"a": TRAP}),
    ({"patternProperties": {EVIL: {}}, "additionalProperties": False}, {TRAP: 1}),
    ({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": EVIL}}}, {"a": TRAP}),
    ({"$schema": "http://json-schema.org/draft-04/schema#", "patternProperties": {EVIL: {}}}, {TRAP: 1}),
    ({"propertyNames": {"pattern": EVIL}}, {TRAP: 1}),
    ({"unevaluatedProperties": False, "patternProperties": {EVIL: {}}}, {TRAP: 1}),
    ({"$ref": "#"}, {}),
    (doubling(40), {"a": 1}),
    (doubling(40) | {"unevaluatedProperties": False}, {"a": 1}),
    (nested(5_000), {}),
    ({"properties": {"a": {"uniqueItems": True}}}, {"a": [{"x": n} for n in range(6_000)]}),
    ({"properties": {"a": {"items": {"anyOf": [{"type": "string"}] * 900}}}}, {"a": [1] * 20_000}),
    ({"properties": {str(n): {"type": "string"} for n in range(100_000)}}, {"a": 1}),
    ({"properties": {"a": {"multipleOf": 0.5}}}, '{"a": 1' + "0" * 400 + "}"),
    ({}, '{"a": ' + "[" * 10_000 + "]" * 10_000 + "}"),
    ({}, '{"a": "' + "x" * 5_000_000 + '"}'),
]


@pytest.mark.parametrize(("schema", "arguments"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_schema_hangs_nothing_and_raises_nothing(schema: Any, arguments: Any) -> None:
    started = time.monotonic()
    checked = check(schema, arguments)
    assert time.monotonic() - started < 3
    assert checked.problems or checked.remark


def test_what_is_told_can_be_sent_whatever_was_typed() -> None:
    checked = check_call("a\ud800\x00", '{"\ud800": "\\ud800"}', [{"name": "look", "parameters": LOOK}])
    "".join(checked.problems).encode()
    "".join(check(LOOK, '{"where": "\\ud800", "\\ud800\\u0000": 1}').problems).encode()


def test_names_are_listed_once_in_their_order() -> None:
    tools: list[Any] = [{"name": "b"}, {"function": {"name": "a"}}, {"name": "b"}, {"name": ""}, {"function": 3}, 3]
    assert list_tool_names(tools) == ["b", "a"]
