"""Environments by name: those that come with the product, and those of packages installed beside it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from training.environments.base import Environment, UnknownEnvironment

ENTRY_POINTS = "whetstone.environments"
"""The entry-point group in which a package names its environments, each a class like Environment."""

_BUILT_IN = {"babyai": "training.environments.babyai:BabyAI"}


def environment_names() -> list[str]:
    """Every name that make_environment takes, the product's own first."""
    installed = sorted(point.name for point in entry_points(group=ENTRY_POINTS))
    return list(dict.fromkeys([*_BUILT_IN, *installed]))


def make_environment(name: str, **options: Any) -> Environment:
    """A new environment; `options` go to its class. Raises UnknownEnvironment for an unknown name."""
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        made = getattr(import_module(module), attribute)(**options)
    else:
        found = next(iter(entry_points(group=ENTRY_POINTS, name=name)), None)
        if found is None:
            raise UnknownEnvironment(f"There is no environment {name!r}. Known: {', '.join(environment_names())}.")
        made = found.load()(**options)
    if not isinstance(made, Environment):
        raise UnknownEnvironment(f"{name!r} is not an environment: it lacks a method or attribute of Environment.")
    return made
