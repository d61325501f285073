"""The arguments of a tool call as a person types them: the JSON text of an object."""

from __future__ import annotations

import json
from typing import Any

from curation.formats.cleaning import MAX_DEPTH, UncleanError, clean_text, clean_value
from curation.formats.messages import read_arguments


class ArgumentsError(ValueError):
    """Arguments that are no JSON object; the text says why and where."""


def parse_arguments(raw: str) -> tuple[dict[str, Any], str]:
    """The object that a text describes, and the text as it can be stored. Raises ArgumentsError."""
    text = clean_text(raw)[0]
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if not isinstance(value, dict):
            raise ArgumentsError(f"the arguments are not a JSON object but {_KINDS[type(value)]}")
        clean_value(value)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, character {error.colno}"
        raise ArgumentsError(f"the arguments are not JSON: {error.msg} at {where}") from error
    except RecursionError as error:
        raise ArgumentsError(f"the arguments are not usable JSON: nested more than {MAX_DEPTH} levels deep") from error
    except UncleanError as error:
        raise ArgumentsError(f"the arguments are not usable JSON: {error}") from error
    except ArgumentsError:
        raise
    except ValueError as error:  # a whole number of many thousand digits
        raise ArgumentsError("the arguments are not usable JSON: they hold a number that is too long") from error
    arguments, kept = read_arguments(text)
    if arguments is None:
        raise ArgumentsError("the arguments are not usable JSON")
    return arguments, kept


_KINDS = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _refuse_constant(name: str) -> Any:
    raise ArgumentsError(f"the arguments are not JSON: {name} is no JSON value")
