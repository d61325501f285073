"""The run directory: the only thing the web side and the training engine share.

A launcher writes `job.json` and the rows; the engine answers with `status.json`, `metrics.jsonl`, `tokens.json`,
`result.json` or `evaluation.json`, and `output/`. Whole files are replaced atomically; `metrics.jsonl` and `log.txt`
only grow, and their readers pass over a torn end. Anything unreadable raises RunDirError with the file and the cause.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from training.recipes import DPORecipe, EvaluateRecipe, SFTRecipe, TinyModel
from training.results import Evaluation, TrainingResult

VERSION = 1
JOB_FILE = "job.json"
TRAIN_FILE = "train.jsonl"
EVAL_FILE = "eval.jsonl"
CORPUS_FILE = "corpus.jsonl"
STATUS_FILE = "status.json"
METRICS_FILE = "metrics.jsonl"
TOKENS_FILE = "tokens.json"
RESULT_FILE = "result.json"
EVALUATION_FILE = "evaluation.json"
LOG_FILE = "log.txt"
STOP_FILE = "stop"
OUTPUT_DIR = "output"
CHECKPOINTS_DIR = "checkpoints"
BASE_DIR = "base"
COMPLETE_FILE = "complete"  # written into a checkpoint last: without it, the checkpoint is torn

NO_BAND = "none"  # the key of rows without a difficulty band

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LOG_TAIL_BYTES = 512 * 1024

State = Literal["starting", "running", "done", "stopped", "failed"]
Kind = Literal["sft", "dpo", "evaluate"]
RowState = Literal["kept", "truncated", "dropped"]


RecordT = TypeVar("RecordT", bound=BaseModel)


class RunDirError(Exception):
    """A file of a run directory is missing, unreadable or of another version. The message names it."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


# ---- what is asked for ----


class Base(_Record):
    """The model to start from: a directory, and at most one LoRA adapter on top. No path: a tiny model is made."""

    path: str | None = None
    adapter: str | None = None
    tiny: TinyModel = TinyModel()

    @model_validator(mode="after")
    def _check_adapter_has_a_model(self) -> Base:
        if self.adapter is not None and self.path is None:
            raise ValueError("an adapter needs the path of the model it belongs to")
        return self


class _Job(_Record):
    version: Literal[1] = 1
    base: Base = Base()


class SFTJob(_Job):
    kind: Literal["sft"] = "sft"
    hyperparameters: SFTRecipe = SFTRecipe()


class DPOJob(_Job):
    kind: Literal["dpo"] = "dpo"
    hyperparameters: DPORecipe = DPORecipe()


class EvaluateJob(_Job):
    kind: Literal["evaluate"] = "evaluate"
    hyperparameters: EvaluateRecipe = EvaluateRecipe()

    @model_validator(mode="after")
    def _check_there_is_a_model(self) -> EvaluateJob:
        if self.base.path is None:
            raise ValueError("an evaluation needs the path of a model")
        return self


Job = Annotated[SFTJob | DPOJob | EvaluateJob, Field(discriminator="kind")]
_JOB: TypeAdapter[SFTJob | DPOJob | EvaluateJob] = TypeAdapter(Job)


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    task: str = ""
    band: int | None = Field(None, ge=1, le=5)
    weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    tools: str = "[]"


class SFTRow(_Row):
    """One trajectory: OpenAI chat messages, tool arguments as the exact string that was recorded."""

    trajectory: int
    revision: int
    messages: list[dict[str, Any]]


class DPORow(_Row):
    """One pair: the messages shared by both sides, and how each goes on."""

    pair: int
    chosen_revision: int
    rejected_revision: int
    prompt: list[dict[str, Any]]
    chosen: list[dict[str, Any]]
    rejected: list[dict[str, Any]]


# ---- what is answered ----


class Status(_Record):
    """Where a run stands. `heartbeat` is renewed every two seconds as long as the process lives."""

    state: State
    stage: str = ""
    step: int = 0
    steps: int = 0
    heartbeat: float = 0.0
    error: str | None = None
    advice: str | None = None
    pid: int = 0


class Metric(BaseModel):
    """One log line. Further values (`eval_loss`, `rewards/accuracies`, ...) are kept as extras; NaN is None."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    step: int
    time: float
    loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    eval_loss: float | None = None


class RowTokens(_Record):
    """Supervised tokens of one row before (`supervised`) and after (`kept`) the length limit; both sides of a pair."""

    trajectory: int | None = None
    pair: int | None = None
    band: int | None = None
    supervised: int
    kept: int
    state: RowState
    reason: str | None = None


class BandTokens(_Record):
    """Sums over rows. `rows` = `kept` + `truncated` + `dropped`; tokens: `supervised` before, `kept_tokens` after."""

    rows: int = 0
    kept: int = 0
    truncated: int = 0
    dropped: int = 0
    supervised: int = 0
    kept_tokens: int = 0


class TokenReport(_Record):
    max_length: int
    rows: list[RowTokens]
    bands: dict[str, BandTokens]
    totals: BandTokens


# ---- files ----


def load_json(text: str | bytes) -> Any:
    """Parse JSON; lone surrogates, which no tokenizer takes, become U+FFFD. Raises ValueError."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return _replace_lone_surrogates(json.loads(text))


def _replace_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_replace_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_replace_lone_surrogates(key): _replace_lone_surrogates(item) for key, item in value.items()}
    return value


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one move: a reader sees the old text or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def describe_error(error: Exception) -> str:
    """An error in one line: pydantic's as "field: what is wrong; field: ...", without the input's text."""
    if isinstance(error, ValidationError):
        parts = [f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}" for item in error.errors()]
        return "; ".join(parts[:5]) + (f"; and {len(parts) - 5} more" if len(parts) > 5 else "")
    return " ".join(str(error).split()) or type(error).__name__


def _read_record(path: Path, model: type[RecordT]) -> RecordT | None:
    try:
        return model.model_validate(load_json(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise RunDirError(f"{path.name}: {describe_error(error)}") from error


def _write_record(path: Path, record: BaseModel) -> None:
    write_atomically(path, record.model_dump_json(indent=1) + "\n")


def write_job(directory: Path, job: SFTJob | DPOJob | EvaluateJob) -> None:
    _write_record(directory / JOB_FILE, job)


def read_job(directory: Path) -> SFTJob | DPOJob | EvaluateJob:
    """The job of a run directory. Raises RunDirError when it is missing, of another version or invalid."""
    try:
        data = load_json((directory / JOB_FILE).read_bytes())
        version = data.get("version") if isinstance(data, dict) else None
        if version != VERSION:
            raise RunDirError(f"{JOB_FILE} has version {version!r}; this code reads version {VERSION}")
        return _JOB.validate_python(data)
    except FileNotFoundError as error:
        raise RunDirError(f"{JOB_FILE} is missing in {directory}") from error
    except (ValueError, RecursionError) as error:
        raise RunDirError(f"{JOB_FILE}: {describe_error(error)}") from error


def read_rows(path: Path) -> Iterator[SFTRow | DPORow]:
    """The rows of train.jsonl or eval.jsonl, in order; a row with a `pair` is a pair. A missing file has no rows.

    Raises RunDirError with the line's number. Blank lines are passed over.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                data = load_json(line)
                model: type[SFTRow | DPORow] = DPORow if isinstance(data, dict) and "pair" in data else SFTRow
                yield model.model_validate(data)
            except (ValueError, RecursionError) as error:
                raise RunDirError(f"{path.name}, line {number}: {describe_error(error)}") from error


def write_status(directory: Path, status: Status) -> None:
    _write_record(directory / STATUS_FILE, status)


def read_status(directory: Path) -> Status | None:
    """None as long as the engine has not written one."""
    return _read_record(directory / STATUS_FILE, Status)


def append_metric(directory: Path, metric: Metric) -> None:
    with (directory / METRICS_FILE).open("a", encoding="utf-8") as file:
        file.write(metric.model_dump_json(exclude_none=True) + "\n")


def read_metrics(directory: Path, *, after: int = 0) -> list[Metric]:
    """The complete lines after the first `after` ones.

    A torn last line is left for the next call. A run that is resumed first rewrites the file without the updates that
    its checkpoint does not hold, so a reader starts again from 0 then.
    """
    try:
        lines = (directory / METRICS_FILE).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    metrics = []
    for number, line in enumerate(lines[after:], start=after + 1):
        try:
            metrics.append(Metric.model_validate(load_json(line)))
        except (ValueError, RecursionError) as error:
            raise RunDirError(f"{METRICS_FILE}, line {number}: {describe_error(error)}") from error
    return metrics


def keep_metrics(directory: Path, *, up_to_step: int) -> None:
    """Forget what was logged after an update, and a torn line: a resumed run logs it again."""
    try:
        kept = [metric for metric in read_metrics(directory) if metric.step <= up_to_step]
    except RunDirError:
        kept = []  # a log that cannot be read is not worth failing a resumed run
    text = "".join(metric.model_dump_json(exclude_none=True) + "\n" for metric in kept)
    write_atomically(directory / METRICS_FILE, text)


def write_tokens(directory: Path, report: TokenReport) -> None:
    write_atomically(directory / TOKENS_FILE, report.model_dump_json(exclude_none=True))


def read_tokens(directory: Path) -> TokenReport | None:
    return _read_record(directory / TOKENS_FILE, TokenReport)


def write_result(directory: Path, result: TrainingResult) -> None:
    _write_record(directory / RESULT_FILE, result)


def read_result(directory: Path) -> TrainingResult | None:
    return _read_record(directory / RESULT_FILE, TrainingResult)


def write_evaluation(directory: Path, evaluation: Evaluation) -> None:
    _write_record(directory / EVALUATION_FILE, evaluation)


def read_evaluation(directory: Path) -> Evaluation | None:
    return _read_record(directory / EVALUATION_FILE, Evaluation)


def tail_log(directory: Path, *, lines: int = 200) -> list[str]:
    """The last lines of log.txt (of its last half megabyte), without line ends; [] when there is none."""
    try:
        with (directory / LOG_FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []


def request_stop(directory: Path) -> None:
    """Ask the engine to save a checkpoint and stop after the current update."""
    (directory / STOP_FILE).touch()


def clear_stop(directory: Path) -> None:
    """Take the request back: before a stopped run is resumed."""
    (directory / STOP_FILE).unlink(missing_ok=True)


def is_stop_requested(directory: Path) -> bool:
    return (directory / STOP_FILE).exists()
