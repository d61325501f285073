"""Every real file imports with the counts that its project published."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from curation.formats.base import FormatError, ImportContext, Parsed, ParsedPair, Rejected
from curation.formats.document import Document
from curation.formats.sources import Located, Source

# path: (format, records, tasks)
FILES = {
    "tau-bench/gpt-4o-airline.json": ("tau-bench", 200, 50),
    "tau2-bench/gpt-4.1_airline_1trials.json": ("tau2", 20, 20),
    "tau2-bench/gpt-4.1_telecom_4trials_5tasks.json": ("tau2", 20, 5),
    "swe-agent/function_calling_simple.traj": ("swe-agent", 1, 1),
    "swe-agent/pydicom__pydicom-1458.traj": ("swe-agent", 1, 1),
    "openhands/multi_swe_bench_output.jsonl": ("openhands", 3, 3),
    "openhands/resolver_output.jsonl": ("openhands", 2, 2),
    "fireact/hotpotqa_llama-2-7b.json": ("fireact", 500, 500),
    "fireact/hotpotqa_llama-2-13b.json": ("fireact", 499, 499),
    "fireact/gpt_format_hotpotqa.jsonl": ("chat", 500, 500),
    "reflexion/react_base_100_questions_5_trials.txt": ("react", 512, 100),
    "inspect/2025-02-11T15-17-00-05-00_popularity_dPiJifoWeEQBrfWsAopzWr.eval": ("inspect", 10, 10),
    "inspect/2025-02-11T15-18-04-05-00_popularity_mj7khqpMM4GBCfVQozKgzB.eval": ("inspect", 10, 10),
    "inspect/browser.json": ("inspect", 1, 1),
    "inspect/log_formats.eval": ("inspect", 1, 1),
    "inspect/log_formats.json": ("inspect", 1, 1),
    "inspect/log_images.json": ("inspect", 1, 1),
    "inspect/log_images_tc.json": ("inspect", 1, 1),
    "inspect/log_message_deduplication.eval": ("inspect", 1, 1),
    "inspect/log_streaming.eval": ("inspect", 4, 2),
    "inspect/log_tool_call_error.json": ("inspect", 1, 1),
    "llama-factory/dpo_en_demo.json": ("preference", 299, 294),
    "llama-factory/v1_dpo_demo.jsonl": ("preference", 10, 10),
    "llama-factory/kto_en_demo.json": ("chat", 300, 297),
    "llama-factory/glaive_toolcall_en_demo.json": ("sharegpt", 300, 201),
    "llama-factory/mllm_demo.json": ("chat", 6, 6),
    "llama-factory/v1_sft_demo.jsonl": ("chat", 500, 498),
    "letta-fixtures/atif/tool-calls/input.json": ("atif", 1, 1),
    "letta-fixtures/claude-code/cleanup/input.jsonl": ("claude-code", 1, 1),
    "letta-fixtures/claude-code/subagent/input.jsonl": ("claude-code", 1, 1),
    "letta-fixtures/claude-code/tool-call/input.jsonl": ("claude-code", 1, 1),
    "letta-fixtures/codex/cleanup/input.jsonl": ("codex", 1, 1),
    "letta-fixtures/codex/tool-calls/input.jsonl": ("codex", 1, 1),
    "letta-fixtures/openhands/cleanup/input.json": ("openhands", 1, 1),
    "letta-fixtures/openhands/tool-calls/input.json": ("openhands", 1, 1),
}
REFUSED = {"inspect/legacy_steps.json", "letta-fixtures/atif/cleanup/input.json"}
OUTCOMES = {
    "tau-bench/gpt-4o-airline.json": {1.0: 84, 0.0: 116},
    "tau2-bench/gpt-4.1_airline_1trials.json": {1.0: 10, 0.0: 10},
    "tau2-bench/gpt-4.1_telecom_4trials_5tasks.json": {1.0: 16, 0.0: 4},
    "fireact/hotpotqa_llama-2-7b.json": {1.0: 131, 0.0: 369},
    "fireact/hotpotqa_llama-2-13b.json": {1.0: 172, 0.0: 327},
}


def read(path: Path) -> list[Located]:
    with path.open("rb") as stream:
        return list(Source(stream, ImportContext(filename=path.name)).read())


def documents_of(found: list[Located]) -> list[Document]:
    kept = []
    for located in found:
        item = located.found
        if isinstance(item, ParsedPair):
            kept.append(item.chosen)
        elif isinstance(item, Parsed):
            kept.append(item.document)
    return kept


@pytest.mark.parametrize(("name", "expected"), FILES.items())
def test_a_real_file_imports_whole(shared_data: Path, name: str, expected: tuple[str, int, int]) -> None:
    found = read(shared_data / name)
    assert [item.found for item in found if isinstance(item.found, Rejected)] == []
    documents = documents_of(found)
    tasks = {(document.task.id, document.task.fingerprint) for document in documents}
    assert ({item.format for item in found}, len(documents), len(tasks)) == ({expected[0]}, *expected[1:])
    for document in documents:
        assert Document.model_validate(document.model_dump(mode="json")) == document


@pytest.mark.parametrize(("name", "outcomes"), OUTCOMES.items())
def test_outcomes_are_those_that_were_published(shared_data: Path, name: str, outcomes: dict[float, int]) -> None:
    assert Counter(document.outcome.reward for document in documents_of(read(shared_data / name))) == outcomes


def test_of_reflexions_first_trial_34_of_100_are_solved(shared_data: Path) -> None:
    documents = documents_of(read(shared_data / "reflexion" / "react_base_100_questions_5_trials.txt"))
    first = [document.outcome for document in documents if document.trial.index == 0]
    # Three of its agents stand in the log twice, as incorrect and as halted.
    assert Counter(outcome.success for outcome in first) == {True: 34, False: 66 + 3}
    assert len({document.task.fingerprint for document in documents}) == 100


def test_all_of_swe_agents_files_are_read(shared_data: Path) -> None:
    with_calls = 0
    paths = sorted((shared_data / "swe-agent").rglob("*.traj"))
    for path in paths:
        (document,) = documents_of(read(path))
        assert document.task.id == path.name.removesuffix(".traj")
        with_calls += any(step.tool_calls for step in document.steps)
    assert (len(paths), with_calls) == (6, 2)


def test_a_log_without_samples_is_refused_with_what_was_looked_for(shared_data: Path) -> None:
    with pytest.raises(FormatError, match=r"no known format. Found: .*`events`.*Looked for: .*Inspect logs"):
        read(shared_data / "inspect" / "legacy_steps.json")


def test_arguments_that_are_a_list_are_refused_with_the_reason(shared_data: Path) -> None:
    (located,) = read(shared_data / "letta-fixtures" / "atif" / "cleanup" / "input.json")
    assert isinstance(located.found, Rejected)
    assert "tool_calls.0.arguments" in located.found.reason


def test_every_file_is_in_this_table(shared_data: Path) -> None:
    known = {*FILES, *REFUSED}
    for path in shared_data.rglob("*"):
        name = path.relative_to(shared_data).as_posix()
        described = path.name in ("LICENSE", "README.md", "expected.json") or name.startswith(("atif/", "swe-agent/"))
        assert path.is_dir() or described or name in known, name


def test_the_whole_folder_is_one_source(shared_data: Path) -> None:
    found = list(Source(shared_data, ImportContext(filename="data")).read())
    assert len(documents_of(found)) == sum(records for _, records, _ in FILES.values()) + 4
