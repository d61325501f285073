"""Errors of the REST interface as problem details (RFC 9457)."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler


class Conflict(exceptions.APIException):
    status_code = 409
    default_detail = "The state changed in the meantime."
    default_code = "conflict"


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """`{"type", "title", "status", "detail"}`, and `errors` by field for input that does not validate."""
    response = exception_handler(error, context)
    if response is None:
        return None
    problem: dict[str, Any] = {"type": "about:blank", "title": response.status_text, "status": response.status_code}
    if isinstance(error, exceptions.ValidationError):
        problem |= {"detail": "The input does not fit.", "errors": response.data}
    else:
        problem["detail"] = str(response.data.get("detail", "")) if isinstance(response.data, dict) else ""
        if str(error) and isinstance(error, Exception) and not isinstance(error, exceptions.APIException):
            problem["detail"] = str(error)
    response.data = problem
    response.content_type = "application/problem+json"
    return response
