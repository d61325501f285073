from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from training.environments.babyai import ACTIONS, BabyAI
from training.environments.babyai_expert import Expert
from training.environments.base import Environment, ExpertEnvironment, UnknownEnvironment

LEVELS = BabyAI.levels
NAME = re.compile(r"\b((?:red|green|blue|purple|yellow|grey) (?:ball|box|key|door))\b")
PLACE = re.compile(r"(\d+ steps? (?:forward|back|left|right)(?: and \d+ steps? (?:left|right))?)")


@pytest.fixture(scope="module")
def babyai() -> BabyAI:
    """One environment for all tests: its worlds are made once."""
    return BabyAI()


def play(env: ExpertEnvironment, level: str, seed: int, *, stray: float = 0.0) -> Iterator[tuple[str, str, str, Any]]:
    """(what is seen, thought, action, info after it) of an episode in which an action is random now and then."""
    rng = random.Random(seed)
    text, info = env.reset(seed=seed, options={"level": level})
    over = False
    while not over:
        thought, action = env.oracle()
        if rng.random() < stray:
            action = rng.choice(info["admissible"])
            thought = env.explain(action)
        seen = text
        text, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        yield seen, thought, action, info


def test_it_keeps_the_contract(babyai: BabyAI) -> None:
    assert isinstance(babyai, Environment)
    assert isinstance(babyai, ExpertEnvironment)


@pytest.mark.parametrize("level", LEVELS)
def test_the_expert_succeeds_within_the_limit_at_every_level(babyai: BabyAI, level: str) -> None:
    lengths = []
    for seed in range(8):
        *_, (_, _, _, info) = steps = list(play(babyai, level, seed))
        lengths.append(len(steps))
        assert info["success"], seed
    assert 2 * sum(lengths) / 8 <= babyai.max_steps(level)


def test_the_same_seed_gives_the_same_episode(babyai: BabyAI) -> None:
    again = BabyAI()
    for level in ("GoToObj", "BlockedUnlockPickup"):
        assert list(play(babyai, level, 5, stray=0.3)) == list(play(again, level, 5, stray=0.3))


def test_different_seeds_give_different_episodes(babyai: BabyAI) -> None:
    assert len({babyai.reset(seed=seed, options={"level": "GoToLocal"})[0] for seed in range(20)}) > 15


def test_the_expert_turns_left_as_often_as_right(babyai: BabyAI) -> None:
    taken = Counter(action for level in LEVELS for seed in range(25) for _, _, action, _ in play(babyai, level, seed))
    left, right = taken["turn left"], taken["turn right"]
    assert left + right > 500
    assert 0.43 < left / (left + right) < 0.57
    assert set(taken) == set(ACTIONS)


def test_what_lies_straight_behind_is_turned_to_from_either_side(babyai: BabyAI) -> None:
    turns: Counter[str] = Counter()
    for seed in range(300):
        babyai.reset(seed=seed, options={"level": "GoToObj"})
        world = babyai._world
        (x, y), (dx, dy) = world.agent_pos, world.dir_vec
        target = world.instrs.desc.obj_set[0].cur_pos
        offset = (target[0] - x, target[1] - y)
        if offset[0] * dx + offset[1] * dy < 0 and not offset[0] * dy - offset[1] * dx:
            turns[babyai.oracle()[1]] += 1
    assert set(turns) == {"turn left", "turn right"}
    assert min(turns.values()) >= 4


def test_of_two_ways_equally_good_one_is_taken_by_lot(babyai: BabyAI) -> None:
    """The same episode under several lots: the expert goes different ways at many seeds, none longer than another."""
    choices = 0
    for seed in range(20):
        ways = set()
        for lot in range(6):
            babyai.reset(seed=seed, options={"level": "UnlockPickup"})
            babyai._expert = Expert(babyai._env, key=f"lot {lot}", style="natural")
            actions, over = [], False
            while not over:
                actions.append(babyai.oracle()[1])
                _, _, terminated, truncated, _ = babyai.step(actions[-1])
                over = terminated or truncated
            ways.add(tuple(actions))
        choices += len(ways) > 1
        assert len({len(way) for way in ways}) == 1, seed
    assert choices >= 5


def test_thoughts_speak_only_of_what_has_been_seen_or_is_the_mission(babyai: BabyAI) -> None:
    for level in LEVELS:
        for seed in range(12):
            mission = babyai.reset(seed=seed, options={"level": level})[1]["mission"]
            known = set(NAME.findall(mission))
            for seen, thought, _, _ in play(babyai, level, seed, stray=0.2):
                known |= set(NAME.findall(seen))
                known |= {name.replace("door", "key") for name in NAME.findall(seen) if name.endswith("door")}
                assert set(NAME.findall(thought)) <= known, thought


def test_thoughts_place_only_what_is_in_view(babyai: BabyAI) -> None:
    placed = 0
    for level in LEVELS:
        for seen, thought, _, _ in play(babyai, level, 3, stray=0.2):
            for place in PLACE.findall(thought):
                placed += 1
                name = NAME.findall(thought)[0]
                assert f"{name} {place}" in seen
    assert placed > 20


def test_a_thought_ends_with_the_action_taken(babyai: BabyAI) -> None:
    words = {"turn left": "I turn left.", "go forward": "I go forward.", "pick up": "I pick it up."}
    for _, thought, action, _ in play(babyai, "BlockedUnlockPickup", 2, stray=0.3):
        assert thought.endswith(words.get(action, "."))


@pytest.mark.parametrize("level", LEVELS)
def test_stray_actions_never_stop_the_expert(babyai: BabyAI, level: str) -> None:
    for seed in range(6):
        steps = list(play(babyai, level, seed, stray=0.8))
        assert len(steps) <= babyai.max_steps(level)


def test_an_action_that_does_not_exist_costs_a_step_and_is_named(babyai: BabyAI) -> None:
    first, _ = babyai.reset(seed=1, options={"level": "GoToObj"})
    text, reward, terminated, truncated, info = babyai.step("fly")
    assert (text, reward, terminated, truncated) == (f"There is no such action. {first}", 0.0, False, False)
    assert not info["action_valid"]
    for _ in range(babyai.max_steps("GoToObj") - 1):
        text, _, terminated, truncated, info = babyai.step("fly")
    assert (terminated, truncated, info["success"]) == (False, True, False)
    with pytest.raises(RuntimeError, match="reset the environment first"):
        babyai.step("turn left")


def test_asking_the_expert_twice_changes_nothing(babyai: BabyAI) -> None:
    once = [step[:3] for step in play(babyai, "UnlockPickup", 9)]
    babyai.reset(seed=9, options={"level": "UnlockPickup"})
    for _, thought, action in once:
        assert babyai.oracle() == babyai.oracle() == (thought, action)
        babyai.step(action)


def test_an_environment_wants_to_be_reset_first() -> None:
    with pytest.raises(RuntimeError, match="reset the environment first"):
        BabyAI().step("turn left")


def test_admissible_actions_change_something_and_others_do_not(babyai: BabyAI) -> None:
    for seed in range(10):
        for action in ACTIONS:
            before, info = babyai.reset(seed=seed, options={"level": "PutNextS5N3"})
            state = str(babyai._world), before
            after, *_ = babyai.step(action)
            assert (state != (str(babyai._world), after)) == (action in info.get("admissible", [])), (seed, action)


def test_actions_are_read_whatever_their_case_and_space(babyai: BabyAI) -> None:
    babyai.reset(seed=1, options={"level": "GoToObj"})
    assert babyai.step(" Turn Left\n")[4]["action_valid"]


def test_success_is_said_in_words(babyai: BabyAI) -> None:
    babyai.reset(seed=3, options={"level": "GoToObj"})
    text, reward, over = "", 0.0, False
    while not over:
        text, reward, over, _, _ = babyai.step(babyai.oracle()[1])
    assert text.endswith("You have accomplished the mission.")
    assert reward == 1.0


def test_the_compact_style_is_short_and_has_the_same_actions(babyai: BabyAI) -> None:
    compact = BabyAI(style="compact")
    natural_steps, compact_steps = (list(play(env, "UnlockPickup", 4)) for env in (babyai, compact))
    assert [step[2] for step in natural_steps] == [step[2] for step in compact_steps]
    assert all(step[0].startswith("see ") for step in compact_steps)
    assert (
        sum(len(step[0] + step[1]) for step in compact_steps)
        < sum(len(step[0] + step[1]) for step in natural_steps) / 1.3
    )


def test_an_unknown_level_or_style_is_refused_with_the_known_ones(babyai: BabyAI) -> None:
    with pytest.raises(UnknownEnvironment, match=r"no level 'GoToMoon'\. Known: GoToObj"):
        babyai.reset(seed=1, options={"level": "GoToMoon"})
    with pytest.raises(UnknownEnvironment, match="no style 'verbose'"):
        BabyAI(style="verbose")  # type: ignore[arg-type]  # what a form may send


def test_nothing_is_printed_and_nothing_heavy_is_imported_before_a_reset() -> None:
    code = (
        "import sys, training.recording\n"
        "from training.environments.registry import make_environment\n"
        "env = make_environment('babyai')\n"
        "assert not {'minigrid', 'gymnasium', 'pygame', 'numpy'} & set(sys.modules), 'imported too early'\n"
        "for seed in range(4): env.reset(seed=seed, options={'level': 'GoToSeqS5R2'})\n"
        "assert 'minigrid' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
