from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from curation.difficulty import band_of, pass_rate
from curation.formats.base import ImportContext, Parsed
from curation.formats.document import Document, hash_document, text_of
from curation.formats.messages import document_to_messages
from curation.formats.registry import detect_format
from training.environments.babyai import ACTIONS, BabyAI
from training.recording import (
    DEMO_FILE,
    DEMO_PLAN,
    DemoPart,
    ExpertPolicy,
    RandomPolicy,
    WeakenedPolicy,
    record_demo,
    record_episode,
    record_plan,
)

SMALL_PLAN = (DemoPart("GoToObj", range(100, 103), (ExpertPolicy(), WeakenedPolicy(0.35))),)


@pytest.fixture(scope="module")
def babyai() -> BabyAI:
    return BabyAI()


@pytest.fixture(scope="module")
def demo() -> list[Document]:
    """Every document of the demo file, read as an import reads it."""
    found = detect_format(DEMO_FILE, DEMO_FILE.name)
    assert found.name == "whetstone"
    with DEMO_FILE.open("rb") as stream:
        results = list(found.parse(stream, ImportContext()))
    assert all(isinstance(result, Parsed) and not result.warnings for result in results)
    return [result.document for result in results if isinstance(result, Parsed)]


def test_an_episode_becomes_a_document_with_a_thought_a_call_and_an_observation_each_step(babyai: BabyAI) -> None:
    document = record_episode(babyai, ExpertPolicy(), seed=7, level="GoToLocal", trial=2)
    system, user, *acts = document.steps
    assert text_of(system.message) == babyai.rules
    assert text_of(user.message).startswith(f"Mission: {document.task.instruction}\n\nYou see")
    for step in acts:
        (call,) = step.tool_calls or []
        assert step.observation is not None
        (result,) = step.observation.results
        assert text_of(step.message)
        assert call.function_name == "act"
        assert json.loads(call.arguments_raw) == call.arguments
        assert result.source_call_id == call.tool_call_id
        assert step.trainable
    assert (document.task.id, document.task.dataset, document.trial.index) == ("babyai/GoToLocal/7", "babyai", 2)
    assert (document.outcome.reward, document.outcome.success, document.outcome.status) == (1.0, True, "completed")
    assert (document.agent.name, document.agent.model_name) == ("expert bot", "expert bot")
    (tool,) = document.agent.tool_definitions or []
    assert tool["function"]["parameters"]["properties"]["action"]["enum"] == list(ACTIONS)


def test_a_document_reads_back_unchanged_and_as_messages(babyai: BabyAI) -> None:
    document = record_episode(babyai, WeakenedPolicy(0.5), seed=7, level="UnlockPickup")
    again = Document.model_validate(json.loads(json.dumps(document.model_dump(mode="json"))))
    assert hash_document(again) == hash_document(document)
    roles = [message["role"] for message in document_to_messages(document)]
    assert roles == ["system", "user", *["assistant", "tool"] * (len(document.steps) - 2)]


def test_running_out_of_steps_is_neither_success_nor_crash(babyai: BabyAI) -> None:
    document = record_episode(babyai, RandomPolicy(), seed=1, level="BlockedUnlockPickup")
    assert len(document.steps) == 2 + babyai.max_steps("BlockedUnlockPickup")
    outcome = document.outcome
    assert (outcome.reward, outcome.success, outcome.status) == (0.0, False, "truncated")


def test_attempts_differ_by_trial_and_not_by_when_they_are_recorded(babyai: BabyAI) -> None:
    policy = WeakenedPolicy(0.5)
    attempts = [record_episode(babyai, policy, seed=3, level="PutNextS5N3", trial=trial) for trial in (0, 1, 0)]
    assert attempts[0] == attempts[2]
    assert attempts[0].steps != attempts[1].steps


def test_the_weaker_an_expert_the_less_it_solves(babyai: BabyAI) -> None:
    solved = [
        sum(bool(record_episode(babyai, policy, seed=seed, level="GoToLocal").outcome.success) for seed in range(40))
        for policy in (ExpertPolicy(), WeakenedPolicy(0.35), WeakenedPolicy(0.8), RandomPolicy())
    ]
    assert solved == sorted(solved, reverse=True)
    assert solved[0] == 40
    assert solved[3] < 20


def test_policies_have_names_that_tell_them_apart() -> None:
    assert [policy.name for policy in (ExpertPolicy(), WeakenedPolicy(0.35), RandomPolicy())] == [
        "expert bot",
        "weakened expert bot (35 %)",
        "random",
    ]


def test_two_recordings_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "other-name.gz"
    assert record_demo(first, plan=SMALL_PLAN) == record_demo(second, plan=SMALL_PLAN) == 6
    assert first.read_bytes() == second.read_bytes()


def test_the_demo_file_is_what_its_plan_records(demo: list[Document]) -> None:
    """The first attempts of each part are recorded anew; to record all of them takes several seconds."""
    by_place = {(document.task.id, document.trial.index): hash_document(document) for document in demo}
    for part in DEMO_PLAN:
        for document in record_plan([DemoPart(part.level, part.seeds[:1], part.policies)]):
            assert by_place[document.task.id, document.trial.index] == hash_document(document)
    assert len(demo) == len(by_place) == sum(len(part.seeds) * len(part.policies) for part in DEMO_PLAN)


def test_the_demo_shows_every_band_and_tasks_with_both_outcomes(demo: list[Document]) -> None:
    attempts: dict[str, list[bool]] = defaultdict(list)
    for document in demo:
        attempts[document.task.id].append(bool(document.outcome.success))
    bands = {band_of(pass_rate(sum(won), len(won)).p) for won in attempts.values()}
    assert bands == {1, 2, 3, 4, 5}
    assert sum(len(set(won)) == 2 for won in attempts.values()) >= 20
    assert DEMO_FILE.stat().st_size < 400_000
