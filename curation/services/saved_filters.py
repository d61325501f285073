"""Conditions of the list of trajectories, kept under a name."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import IntegrityError, transaction

from curation.models import FilterVersion, Role, SavedFilter
from curation.permissions import Access
from curation.rules import Rule, dump_rule
from curation.services.audit import record_action

LONGEST_NAME = 120


class NameTaken(ValueError):
    """Another saved filter of the project has the name."""


def save_filter(
    access: Access, *, name: str, conditions: Mapping[str, str], rules: Rule, replace: bool = False
) -> SavedFilter:
    """Keep conditions, which the caller has checked, and the same as rules under a name.

    `replace` lets them become the next version of a filter that has the name; its earlier versions stay as they were.

    Raises NameTaken, and ValueError for a name or conditions that are none.
    """
    access.require(Role.CURATOR)
    name = clean_filter_name(name)
    if not conditions:
        raise ValueError("There is no condition to save: the list shows everything.")
    values = {"conditions": dict(conditions), "created_by": access.user}
    with transaction.atomic():
        if replace:
            saved, _ = SavedFilter.objects.update_or_create(project=access.project, name=name, defaults=values)
        else:
            saved, created = SavedFilter.objects.get_or_create(project=access.project, name=name, defaults=values)
            if not created:
                raise NameTaken(f"There is a saved filter named {name!r} already.")
        plain, newest = dump_rule(rules), saved.versions.order_by("-number").first()
        if newest is None or newest.rules != plain:
            number = newest.number + 1 if newest else 1
            FilterVersion.objects.create(filter=saved, number=number, rules=plain, created_by=access.user)
        record_action(access, "filter.save", saved, conditions=dict(conditions))
    return saved


def rename_filter(access: Access, saved: SavedFilter, *, name: str) -> None:
    """Raises NameTaken, and ValueError for a name that is none."""
    access.require(Role.CURATOR)
    name = clean_filter_name(name)
    try:
        with transaction.atomic():
            SavedFilter.objects.filter(pk=saved.pk).update(name=name)
            record_action(access, "filter.rename", name, before=saved.name)
    except IntegrityError as error:
        raise NameTaken(f"There is a saved filter named {name!r} already.") from error


def remove_filter(access: Access, saved: SavedFilter) -> None:
    """Forget a saved filter; queues that were made from it stay."""
    access.require(Role.CURATOR)
    with transaction.atomic():
        record_action(access, "filter.remove", saved)
        SavedFilter.objects.filter(pk=saved.pk).delete()


def clean_filter_name(text: str) -> str:
    """A name as it is stored. Raises ValueError for one that is empty, too long or holds control characters."""
    name = text.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"A name has 1 to {LONGEST_NAME} characters, and no control characters.")
    return name
