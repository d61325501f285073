from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from curation.formats.base import ImportContext, Parsed
from curation.formats.document import Document, hash_document, text_of
from curation.formats.messages import document_to_messages
from curation.formats.registry import detect_format
from curation.formats.tau_bench import TauBench, guess_from_name
from tests.formats.reading_aids import only_document, only_reason, parse_value

FILE = "gpt-4o-airline.json"


def attempt(**fields: Any) -> dict[str, Any]:
    traj = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    return {"task_id": 3, "reward": 0.5, "trial": 2, "info": {}, "traj": traj} | fields


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> list[Parsed]:
    """Every record of the real file."""
    path = shared_data / "tau-bench" / FILE
    found = detect_format(path, "upload.bin")
    assert found.name == "tau-bench"
    with path.open("rb") as stream:
        results = list(found.parse(stream, ImportContext(filename=FILE)))
    parsed = [result for result in results if isinstance(result, Parsed)]
    assert len(parsed) == len(results)
    return parsed


def test_the_real_file_holds_50_tasks_with_4_trials_each(recorded: list[Parsed]) -> None:
    documents = [parsed.document for parsed in recorded]
    trials = defaultdict(set)
    for document in documents:
        trials[document.task.id, document.task.fingerprint].add(document.trial.index)
    assert len(documents) == 200
    assert len(trials) == 50
    assert all(indices == {0, 1, 2, 3} for indices in trials.values())
    assert len({hash_document(document) for document in documents}) == 200


def test_the_real_files_rewards_decide_no_success_by_themselves(recorded: list[Parsed]) -> None:
    outcomes = [parsed.document.outcome for parsed in recorded]
    assert Counter(outcome.reward for outcome in outcomes) == {1.0: 84, 0.0: 116}
    assert {outcome.success for outcome in outcomes} == {None}
    assert {outcome.status for outcome in outcomes} == {"completed"}
    both = defaultdict(set)
    for parsed in recorded:
        both[parsed.document.task.id].add(parsed.document.outcome.reward)
    assert sum(len(rewards) == 2 for rewards in both.values()) == 26


def test_in_the_real_file_every_result_answers_the_call_before_it(recorded: list[Parsed]) -> None:
    repeating = 0
    for parsed in recorded:
        steps = parsed.document.steps
        native = [call.native_id for step in steps for call in step.tool_calls or []]
        repeating += len(set(native)) < len(native)
        assert len({call.tool_call_id for step in steps for call in step.tool_calls or []}) == len(native)
        for step in steps:
            results = step.observation.results if step.observation else []
            assert [result.source_call_id for result in results] == [
                call.tool_call_id for call in step.tool_calls or []
            ]
    assert repeating == 49
    assert sum(any("repeats" in warning for warning in parsed.warnings) for parsed in recorded) == 49


def test_the_real_files_messages_come_out_again(recorded: list[Parsed], shared_data: Path) -> None:
    import json

    originals = json.loads((shared_data / "tau-bench" / FILE).read_text())
    for parsed, original in zip(recorded, originals, strict=True):
        written = document_to_messages(parsed.document)
        assert [outline(message) for message in written] == [outline(message) for message in original["traj"]]


def outline(message: dict[str, Any]) -> tuple[Any, ...]:
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or []]
    return message["role"], message["content"] or "", calls, message.get("name")


def test_the_real_files_model_task_and_instruction_are_found(recorded: list[Parsed]) -> None:
    document: Document = recorded[0].document
    assert (document.agent.model_name, document.task.dataset, document.task.id) == ("gpt-4o", "airline", "0")
    assert document.task.instruction.startswith("You are mia_li_3668.")
    assert text_of(document.steps[0].message).startswith("# Airline Agent Policy")
    assert document.steps[0].role_raw == "system"
    assert document.outcome.rewards == {"r_actions": 0.0}


@pytest.mark.parametrize(
    ("filename", "model", "domain"),
    [
        ("gpt-4o-airline.json", "gpt-4o", "airline"),
        ("/tmp/x/retail_sonnet-35.json.gz", "sonnet-35", "retail"),
        ("C:\\runs\\airlines.json", "airlines", None),
        ("airline.json", None, "airline"),
        ("", None, None),
    ],
)
def test_model_and_domain_are_guessed_from_the_name(filename: str, model: str | None, domain: str | None) -> None:
    assert guess_from_name(filename) == (model, domain)


def test_what_the_user_says_wins_over_the_name() -> None:
    document = only_document(parse_value("tau-bench", [attempt()], filename=FILE, model="mine", dataset="ours"))
    assert (document.agent.model_name, document.task.dataset) == ("mine", "ours")


@pytest.mark.parametrize(
    ("fields", "reward", "success", "status"),
    [
        ({"reward": True}, 1.0, True, "completed"),
        ({"reward": 1, "success": False}, 1.0, False, "completed"),
        ({"reward": "0.25"}, 0.25, None, "completed"),
        ({"reward": "C"}, None, None, "unknown"),
        ({"reward": None}, None, None, "unknown"),
        ({"reward": 0.0, "info": {"error": "timeout", "traceback": "..."}}, 0.0, None, "crashed"),
    ],
)
def test_rewards_of_every_kind(fields: dict[str, Any], reward: float, success: bool, status: str) -> None:
    outcome = only_document(parse_value("tau-bench", [attempt(**fields)])).outcome
    assert (outcome.reward, outcome.success, outcome.status) == (reward, success, status)


def test_a_run_that_crashed_before_its_first_message_is_rejected_with_its_error() -> None:
    reason = only_reason(parse_value("tau-bench", [attempt(traj=[], info={"error": "429"})]))
    assert reason == "it has no messages in `traj`; the run failed with: 429"


@pytest.mark.parametrize("task_id", [None, True, 1.5, [], ""])
def test_an_attempt_needs_a_task_id(task_id: Any) -> None:
    reason = only_reason(parse_value("tau-bench", [attempt(task_id=task_id)]))
    assert reason == "its `task_id` is neither a number nor a text"


def test_without_an_instruction_the_first_user_message_stands_for_it() -> None:
    assert only_document(parse_value("tau-bench", [attempt()])).task.instruction == "hi"
    assert TauBench.label == "tau-bench results"
