from __future__ import annotations

import sys
from pathlib import Path

import pytest

from training.environments.babyai import BabyAI
from training.environments.base import UnknownEnvironment
from training.environments.registry import environment_names, make_environment

MODULE = """
class Corridor:
    name, levels, actions, rules = "corridor", ("short",), ("go",), "Go."
    def max_steps(self, level): return 3
    def reset(self, *, seed, options=None): return "You stand.", {"mission": "go", "success": False}
    def step(self, action): return "You went.", 1.0, True, False, {"mission": "go", "success": True}

class Nothing:
    pass
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with two entry points, as pip would leave it."""
    (tmp_path / "corridor_game.py").write_text(MODULE)
    metadata = tmp_path / "corridor_game-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: corridor-game\nVersion: 1\n")
    points = "[whetstone.environments]\ncorridor = corridor_game:Corridor\nnothing = corridor_game:Nothing\n"
    (metadata / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "corridor_game", raising=False)


def test_the_products_own_environment_is_found_by_name() -> None:
    made = make_environment("babyai", style="compact")
    assert isinstance(made, BabyAI)
    assert environment_names()[0] == "babyai"


def test_an_environment_of_another_package_plugs_in(installed: None) -> None:
    made = make_environment("corridor")
    assert made.reset(seed=1)[0] == "You stand."
    assert "corridor" in environment_names()


def test_a_class_that_is_no_environment_is_refused(installed: None) -> None:
    with pytest.raises(UnknownEnvironment, match="'nothing' is not an environment"):
        make_environment("nothing")


@pytest.mark.parametrize("name", ["", "os:system", "training.environments.babyai:BabyAI", "../x"])
def test_an_unknown_name_is_refused_and_never_imported(name: str) -> None:
    with pytest.raises(UnknownEnvironment, match="There is no environment"):
        make_environment(name)
