"""The card of a frozen version, as Hugging Face reads it: a README, with what tools read in front of the words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from curation.bias import BiasReport
from curation.models import Dataset, DatasetVersion
from curation.models.dataset import Split
from curation.recipe_words import describe_recipe
from curation.row_files import FORMATS
from curation.selectors.version_statistics import VersionStatistics, read_statistics

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MOST_ACTIONS = 40
_MESSAGES = (
    "chat messages: role, content, tool_calls (arguments are the exact text that was recorded), tool_call_id, name"
)
_ROW = {
    "task": "the task's key",
    "band": "difficulty from 1 (easy) to 5 (hard); null where it is not known",
    "tools": "the tools that the agent had, as one JSON string",
    "weight": "how much the row counts in the loss; 1 on average",
}
_OF_TRAJECTORY = {"trajectory": "where the row comes from", "revision": "the exact text of it"}
_OF_PAIR = {
    "pair": "where the row comes from",
    "chosen_revision": "the exact text of the chosen side",
    "rejected_revision": "and of the rejected one",
    "prompt": f"what both sides share, as {_MESSAGES}",
    "chosen": "how the better one goes on",
    "rejected": "how the worse one goes on",
    "step_only": "whether each side is the one turn in which they part",
}
COLUMNS: dict[str, dict[str, str]] = {
    Dataset.Kind.SFT: _OF_TRAJECTORY | {"messages": f"{_MESSAGES}; trainable is false where a turn bears no loss"},
    Dataset.Kind.PROMPT_COMPLETION: _OF_TRAJECTORY
    | {"prompt": f"all that came before, as {_MESSAGES}", "completion": "one turn of the agent", "turn": "which one"},
    Dataset.Kind.DPO: _OF_PAIR,
    Dataset.Kind.KTO: _OF_TRAJECTORY
    | {
        "prompt": f"what comes before the agent's first turn, as {_MESSAGES}",
        "completion": "the rest",
        "label": "whether it is desirable",
    },
    Dataset.Kind.REWARD: _OF_PAIR,
}
TRAINERS: dict[str, str] = {
    Dataset.Kind.SFT: "SFTTrainer",
    Dataset.Kind.PROMPT_COMPLETION: "SFTTrainer",
    Dataset.Kind.DPO: "DPOTrainer",
    Dataset.Kind.KTO: "KTOTrainer",
    Dataset.Kind.REWARD: "RewardTrainer",
}
"""The trainer of TRL that takes each kind."""


def write_card(version: DatasetVersion, *, suffix: str = "jsonl") -> bytes:
    """The README that stands beside the files of one format. The same version gives the same bytes."""
    counts = {split: version.rows.filter(split=split).count() for split in Split}
    lines = [*_write_front(version, counts, suffix), *_write_words(version, counts, suffix)]
    return ("\n".join(lines) + "\n").encode()


def write_facts(version: DatasetVersion) -> bytes:
    """Everything that was stored about a version, for programs."""
    facts = {
        "dataset": version.dataset.name,
        "version": version.number,
        "kind": version.dataset.kind,
        "content_hash": version.content_hash,
        "train_sha256": version.train_sha256,
        "eval_sha256": version.eval_sha256,
        "software": version.software,
        "recipe": version.recipe,
        "statistics": version.statistics,
        "left_out": version.left_out,
    }
    return json.dumps(facts, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"


def _write_front(version: DatasetVersion, counts: dict[Split, int], suffix: str) -> Iterator[str]:
    """YAML; what people wrote in it is written as JSON strings, which are YAML."""
    total = sum(counts.values())
    size = next((name for most, name in SIZES if total < most), "n>1M")
    yield from ("---", f"pretty_name: {json.dumps(f'{version.dataset.name} v{version.number}')}")
    yield from ("task_categories:", "- text-generation", "tags:", "- agent", "- trl", f"- {version.dataset.kind}")
    yield from ("size_categories:", f"- {size}", "configs:", "- config_name: default", "  data_files:")
    names = {Split.TRAIN: "train", Split.EVAL: "test"}
    for split, number in counts.items():
        if number:
            yield from (f"  - split: {names[split]}", f"    path: {split.value}.{suffix}")
    yield "---"


def _write_words(version: DatasetVersion, counts: dict[Split, int], suffix: str) -> Iterator[str]:
    kind = version.dataset.kind
    statistics = read_statistics(version)
    yield from (f"# {_plain(version.dataset.name)} v{version.number}", "")
    yield from (f"{version.dataset.get_kind_display()}. Frozen by {version.software or 'Whetstone'}.", "")
    yield from (f"- {counts[Split.TRAIN]:,} rows to train on, {counts[Split.EVAL]:,} held out, of other tasks",)
    yield from (f"- content hash `{version.content_hash}`", f"- train `{version.train_sha256}`")
    yield from (f"- eval `{version.eval_sha256}`", "", "## Use", "", "```python")
    yield from ("from datasets import load_dataset", f'rows = load_dataset("{FORMATS[suffix].loader}", data_files={{')
    yield from (f'    "train": "train.{suffix}", "test": "eval.{suffix}",', "})", "```", "")
    yield from (f"TRL's {TRAINERS[kind]} takes the rows as they are.", "", "## Columns", "")
    yield from (f"- `{name}`: {words}" for name, words in (COLUMNS[kind] | _ROW).items())
    yield from ("", "## Recipe", "")
    yield from (f"- {title}: {_plain(words)}" for title, words in describe_recipe(version.recipe))
    if statistics:
        yield from _write_statistics(statistics)
    if version.left_out:
        yield from ("", "## Left out", "")
        yield from _table(("Why", "Rows"), sorted(version.left_out.items(), key=_most_first))


def _write_statistics(statistics: VersionStatistics) -> Iterator[str]:
    preview = statistics.preview
    yield from ("", "## Difficulty", "", "Shares are of supervised tokens (characters / 4) times weight.", "")
    yield from _table(
        ("Difficulty", "Rows", "Tasks", "Tokens", "Weight", "Share", "Target", "Pool"),
        (
            (one.band or "unknown", one.rows, one.tasks, round(one.tokens), one.weight, one.share, one.target, one.pool)
            for one in preview.bands
        ),
    )
    yield from ("", "Bias against the target: 0 is as the target, 1 nothing in common.", "")
    yield from _table(
        ("", "Bias", "95 % interval", "Shift", "Hard tasks covered"),
        (_write_bias(words, report) for words, report in (("filtered", preview.before), ("trained on", preview.after))),
    )
    yield from ("", "Supervised tokens after each stage, by difficulty:", "")
    yield from _table(
        ("Stage", "1", "2", "3", "4", "5", "unknown"),
        ((stage.label, *(round(stage.bands[band]) for band in (1, 2, 3, 4, 5, None))) for stage in preview.stages),
    )
    if preview.pair_lengths:
        yield from ("", f"The chosen side is the longer one in {preview.pair_lengths.longer:.0%} of the pairs.")
    if statistics.actions:
        yield from ("", "## Actions", "", "How often each is taught, the most frequent first:", "")
        yield from _table(
            ("Action", "Taught", "Rejected", ""),
            (
                (one.action, one.taught, one.rejected, "nearly absent" if one.rare else "")
                for one in statistics.actions[:MOST_ACTIONS]
            ),
        )


def _write_bias(words: str, report: BiasReport) -> tuple[Any, ...]:
    interval = "" if report.low is None else f"{report.low:.2f} to {report.high:.2f}"
    return (words, report.bias, interval, report.shift, f"{report.hard_covered:,} of {report.hard_tasks:,}")


def _most_first(one: tuple[str, int]) -> tuple[int, str]:
    return -one[1], one[0]


def _table(titles: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    titles = list(titles)
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else _plain(value)


def _plain(text: str) -> str:
    """Text of people's own on one line, nothing in it Markdown or HTML."""
    escaped = "".join(f"\\{character}" if character in "\\`*_[]|#" else character for character in str(text))
    return " ".join(escaped.replace("&", "&amp;").replace("<", "&lt;").split())
