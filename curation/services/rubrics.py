"""Rubrics of queues: each change is a new version, so that what was answered under an old one stays readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.text import slugify
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from curation.formats.cleaning import clean_text
from curation.models import Queue, Role, Rubric
from curation.permissions import Access
from curation.services.audit import record_action

MOST_CRITERIA = 12
LONGEST_GUIDELINES = 20_000


class Level(BaseModel):
    """One step of a criterion's scale."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    value: int = Field(ge=0, le=9)
    label: str = Field(min_length=1, max_length=120)


class Criterion(BaseModel):
    """What a reviewer gives a level for. Answers name it by its key, which stays when the words change."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    key: str = Field(default="", max_length=60, pattern=r"^[a-z0-9-]*$")
    name: str = Field(min_length=1, max_length=80)
    description: str = Field(default="", max_length=500)
    levels: list[Level] = Field(min_length=2, max_length=10)


_CRITERIA: TypeAdapter[list[Criterion]] = TypeAdapter(list[Criterion])


def write_rubric(
    access: Access, queue: Queue, *, guidelines: str, criteria: Sequence[Mapping[str, Any]], base: int | None = None
) -> Rubric:
    """The next version of a queue's rubric; where nothing would change, the one in force.

    `base` is the number of the version that was edited, 0 for none: where it is no longer the one in force somebody
    else was faster, and nothing is written. Raises ValueError that says what is wrong with which criterion.
    """
    access.require(Role.CURATOR)
    text = clean_text(guidelines)[0].strip()
    if len(text) > LONGEST_GUIDELINES:
        raise ValueError(f"Guidelines have at most {LONGEST_GUIDELINES:,} characters.")
    written = check_criteria(criteria)
    with transaction.atomic():
        current = Queue.objects.select_for_update(of=["self"]).select_related("rubric").get(pk=queue.pk).rubric
        number = current.number if current else 0
        if base is not None and base != number:
            raise ValueError(f"Somebody else wrote version {number} in the meantime: look at it and make yours on it.")
        if current and current.guidelines == text and current.criteria == written:
            return current
        rubric = Rubric.objects.create(
            queue=queue, number=number + 1, guidelines=text, criteria=written, created_by=access.user
        )
        Queue.objects.filter(pk=queue.pk).update(rubric=rubric)
        queue.rubric = rubric
        record_action(access, "rubric.write", queue, number=rubric.number)
    return rubric


def find_rubric(queue: Queue, number: int | None) -> Rubric | None:
    """The version that an answer was given under; None asks for the one in force. Raises ValueError for another's."""
    if number is None or (queue.rubric and queue.rubric.number == number):
        return queue.rubric
    found = Rubric.objects.filter(queue=queue, number=number).first()
    if found is None:
        raise ValueError(f"This queue has no rubric {number}.")
    return found


def check_scores(rubric: Rubric | None, scores: Mapping[str, int]) -> dict[str, int]:
    """The scores, where each names a criterion of the rubric and one of its levels. Raises ValueError."""
    levels = {
        criterion["key"]: {level["value"] for level in criterion["levels"]}
        for criterion in (rubric.criteria if rubric else [])
    }
    for key, value in scores.items():
        if key not in levels:
            raise ValueError(f"The rubric has no criterion {key!r}.")
        if value not in levels[key]:
            raise ValueError(f"The criterion {key!r} has no level {value}.")
    return dict(scores)


def check_criteria(criteria: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The criteria as they are stored, each with its key. Raises ValueError that says what is wrong with which."""
    return [criterion.model_dump() for criterion in _read_criteria(criteria)]


def _read_criteria(criteria: Sequence[Mapping[str, Any]]) -> list[Criterion]:
    if len(criteria) > MOST_CRITERIA:
        raise ValueError(f"A rubric has at most {MOST_CRITERIA} criteria.")
    try:
        read = _CRITERIA.validate_python(_clean(list(criteria)))
    except ValidationError as error:
        place, *rest = error.errors()[0]["loc"]
        where = " ".join(str(part) for part in rest)
        number = int(place) + 1 if isinstance(place, int) else place
        raise ValueError(f"Criterion {number}, {where}: {error.errors()[0]['msg']}.") from error
    taken: set[str] = set()
    for criterion in read:
        criterion.key = _choose_key(criterion, taken)
        taken.add(criterion.key)
        values = [level.value for level in criterion.levels]
        if values != sorted(set(values)):
            raise ValueError(f"{criterion.name}: the levels ascend, and each value stands once.")
    return read


def _clean(value: Any) -> Any:
    """The same without what PostgreSQL cannot store, in every text."""
    if isinstance(value, str):
        return clean_text(value)[0]
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _choose_key(criterion: Criterion, taken: set[str]) -> str:
    start = criterion.key or slugify(criterion.name)[:50] or "criterion"
    names = [start, *(f"{start}-{number}" for number in range(2, MOST_CRITERIA + 2))]
    return next(name for name in names if name not in taken)
