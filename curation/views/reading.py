"""Reading a trajectory: its steps in any order, words found in it, a long text, and the document as it is stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from curation.difficulty import band_of, combine_band
from curation.formats.atif import subagent_steps
from curation.formats.document import text_of
from curation.models import Revision, Task, Trajectory
from curation.models.review import FailureMode
from curation.permissions import (
    Access,
    access_project,
    get_own_reservation,
    get_revision,
    get_trajectory,
    may_see_outcome,
)
from curation.revisions.blind import leave_out_telling
from curation.selectors.drafts import read_draft
from curation.selectors.reading import MOST_HITS, find_in_steps, read_opening, read_part, read_subagent
from curation.selectors.trajectories import STEPS_AT_ONCE, read_steps

MOST_WORDS = 200
SUBAGENT = re.compile(r"\d{1,4}(?:\.\d{1,4}){0,9}")
PART = re.compile(r"message|reasoning|(?:call|result)-\d{1,5}")


@dataclass(frozen=True)
class Measured:
    """Something that was counted, in words, and what it means; of a repetition, which trajectory it repeats."""

    words: str
    meaning: str
    target: int | None = None


@require_GET
def trajectory_steps(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """The steps of a chunk, or of a subagent, fetched as they are scrolled or jumped to."""
    access, trajectory, revision = open_revision(request, project, pk)
    context = {
        "trajectory": trajectory,
        "revision": revision,
        "can_edit": access.is_curator and revision.number == trajectory.head_number,
        **_written(request.GET),
        **_review_context(access, revision, request.GET.get("reviewing", "")),
    }
    path = request.GET.get("subagent", "")
    if path:
        subagent = read_subagent(revision, [int(number) for number in path.split(".")]) if _is_path(path) else None
        if subagent is None:
            raise Http404(f"Trajectory {pk} has no such subagent.")
        return render(request, "curation/trajectory_subagent.html", context | _outline_subagent(subagent, path))
    first = start_of_chunk(read_number(request.GET.get("first", ""), default=1))
    steps = read_steps(revision, first=first)
    context["chunk"] = {"first": first, "last": first + max(len(steps), 1) - 1, "steps": steps}
    return render(request, "curation/trajectory_steps.html", context)


@require_GET
def trajectory_text(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """One text of a step in full, fetched when it is unfolded."""
    _, _, revision = open_revision(request, project, pk)
    return show_text(request, revision)


def show_text(request: HttpRequest, revision: Revision) -> HttpResponse:
    """The text that `step` and `part` of the request name."""
    step_id, part = read_number(request.GET.get("step", ""), default=0), request.GET.get("part", "")
    context = {"kind": "message", "content": None, **_written(request.GET)}
    if step_id and PART.fullmatch(part):
        name, _, number = part.partition("-")
        if name == "message":
            parts = read_part(revision, step_id, "message")
            context["content"] = None if parts is None else text_of(parts)
        elif name == "reasoning":
            context["content"] = read_part(revision, step_id, "reasoning_content")
        elif name == "call":
            context |= {"content": read_part(revision, step_id, "tool_calls", number), "kind": "arguments"}
        else:
            content = read_part(revision, step_id, "observation", "results", number, "content")
            context |= {"content": None if content is None else text_of(content), "kind": "output"}
    if context["content"] is None:
        raise Http404("There is no such text.")
    return render(request, "curation/trajectory_text.html", context)


@require_GET
def trajectory_find(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Where words stand in the steps of a revision: a list for the page that is open, or a page of its own."""
    access, trajectory, revision = open_revision(request, project, pk)
    words = request.GET.get("q", "")[:MOST_WORDS]
    context = {
        "trajectory": trajectory,
        "revision": revision,
        "words": words,
        "hits": find_in_steps(revision, words),
        "most": MOST_HITS,
        "back": reverse("curation:trajectory-detail", args=[project, pk]),
        **_review_context(access, revision, request.GET.get("reviewing", "")),
    }
    if context["reviewing"]:
        context["back"] = reverse("curation:queue-review", args=[project, context["reviewing"]])
    template = "curation/trajectory_find.html"
    return render(request, f"{template}#hits" if getattr(request, "htmx", False) else template, context)


@require_GET
def trajectory_raw(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A revision's document; with `blind`, its steps alone, without what would tell how it went and whose it is."""
    access, trajectory, revision = open_revision(request, project, pk)
    document: dict[str, Any] = revision.document
    if "blind" in request.GET or not may_see_outcome(access, trajectory):
        document = leave_out_telling(document)
    response = JsonResponse(document, json_dumps_params={"indent": 2})
    response["Content-Disposition"] = f'inline; filename="trajectory-{trajectory.pk}-revision-{revision.number}.json"'
    return response


def reading_context(trajectory: Trajectory, revision: Revision, *, query: QueryDict | None = None) -> dict[str, object]:
    """What parts/reading.html needs. Of the page's own query, `first` opens it at a step, `written` shows bare text."""
    query = query or QueryDict()
    first = start_of_chunk(read_number(query.get("first", ""), default=1))
    opening = read_opening(revision, first=first)
    count = len(opening.marks)
    if first > count:
        first, opening = 1, read_opening(revision)
    starts = range(1, count + 1, STEPS_AT_ONCE)
    return {
        "trajectory": trajectory,
        "revision": revision,
        "opening": opening,
        "chunks": [
            {
                "first": start,
                "last": min(start + STEPS_AT_ONCE - 1, count),
                "steps": opening.steps if start == first else None,
            }
            for start in starts
        ],
        "difficulty": describe_difficulty(trajectory.task),
        "measured": describe_measures(trajectory) if revision.number == trajectory.head_number else [],
        **_written(query),
    }


def describe_difficulty(task: Task) -> dict[str, Any]:
    """The band that people gave a task and the one that its attempts say, None where there is none."""
    return {
        "human": combine_band(task.human_grade, 0, 0),
        "empirical": None if task.pass_rate is None else band_of(task.pass_rate),
        "disagree": task.bands_apart,
    }


def describe_measures(trajectory: Trajectory) -> list[Measured]:
    """What was counted in the newest revision and is not zero, and which trajectory it repeats."""
    errors, unknown, bad = trajectory.error_count, trajectory.unknown_tool_count, trajectory.bad_argument_count
    unreadable, target = trajectory.unreadable_count, trajectory.duplicate_of_id
    found = []
    if errors:
        found.append(Measured(f"errors: {errors:,}", "Results that report an error"))
    if unknown:
        found.append(Measured(f"unknown tools: {unknown:,}", "Calls of tools that the agent was not given"))
    if bad:
        found.append(Measured(f"bad arguments: {bad:,}", "Calls whose arguments do not fit the tool's schema"))
    if unreadable:
        found.append(Measured(f"unreadable turns: {unreadable:,}", "Turns that do not end in one ReAct action"))
    if trajectory.loop_length:
        meaning = "The same actions with the same results, three times or more"
        found.append(Measured(f"loop of {trajectory.loop_length:,} steps", meaning))
    if trajectory.context_overflow:
        found.append(Measured("context overflow", "It ended because the agent's context window was exceeded"))
    if target and trajectory.similarity == 1:
        found.append(Measured(f"repeats #{target}", "The steps say the same", target))
    elif target and trajectory.similarity is not None:
        meaning = "Most of what the steps say is the same; 1 would be all"
        found.append(Measured(f"nearly repeats #{target} ({trajectory.similarity:.2f})", meaning, target))
    return found


def open_revision(request: HttpRequest, project: str, pk: int) -> tuple[Access, Trajectory, Revision]:
    """A trajectory of the caller's project, and the revision of it that the address names, else the newest."""
    access = access_project(request, project)
    trajectory = get_trajectory(access, pk)
    number = read_number(request.GET.get("revision", ""), default=trajectory.head_number)
    return access, trajectory, get_revision(access, trajectory, number)


def read_number(text: str, *, default: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else default


def start_of_chunk(step_id: int) -> int:
    """The first step of the chunk that a step is in."""
    return max(step_id - 1, 0) // STEPS_AT_ONCE * STEPS_AT_ONCE + 1


def _is_path(text: str) -> bool:
    return SUBAGENT.fullmatch(text) is not None


def _outline_subagent(subagent: dict[str, Any], path: str) -> dict[str, Any]:
    """Its steps in their plain form, and what the headings of its own subagents say."""
    below = enumerate(subagent.get("subagent_trajectories") or [])
    return {
        "steps": [step.model_dump(mode="json") for step in subagent_steps(subagent)],
        "subagents": [
            {
                "path": f"{path}.{number}",
                "trajectory_id": one.get("trajectory_id"),
                "name": one["agent"]["name"],
                "step_count": len(one["steps"]),
            }
            for number, one in below
        ],
    }


def _written(query: QueryDict) -> dict[str, bool]:
    return {"written": "written" in query}


def _review_context(access: Access, revision: Revision, wanted: str) -> dict[str, Any]:
    """What a reviewer's page needs besides: `wanted` is their hold on the trajectory, empty outside a review."""
    if not wanted:
        return {"reviewing": "", "blind": False}
    reservation = get_own_reservation(access, read_number(wanted, default=0))
    if reservation.item.trajectory_id != revision.trajectory_id:
        raise Http404("This item holds another trajectory.")
    draft = read_draft(reservation, revision)
    return {
        "reviewing": reservation.pk,
        "labels": draft.labels,
        "modes": draft.modes,
        "first_error": draft.first_error,
        "failure_modes": FailureMode.choices,
        "blind": reservation.item.queue.blind,
        "can_edit": True,
    }
