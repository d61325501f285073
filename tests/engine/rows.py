"""Short rows, and the files of a run directory made from them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import training
from training.run_dir import CORPUS_FILE, EVAL_FILE, TRAIN_FILE, DPOJob, EvaluateJob, SFTJob, read_metrics, write_job

TOOLS = json.dumps(
    [
        {
            "type": "function",
            "function": {
                "name": "shell",
                "description": "run a command",
                "parameters": {
                    "type": "object",
                    "properties": {"cmd": {"type": "string"}, "path": {"type": "string"}},
                },
            },
        }
    ]
)
ROOT = Path(training.__file__).resolve().parents[1]


def make_messages(number: int, *, right: bool = True) -> list[dict[str, Any]]:
    """System, user, an agent turn with an oddly spaced call, its result, and the answer."""
    call = {"name": "shell", "arguments": f'{{"cmd":  "ls d{number}" }}'}
    return [
        {"role": "system", "content": "You count."},
        {"role": "user", "content": f"Files in d{number}?"},
        {
            "role": "assistant",
            "content": "Look.",
            "tool_calls": [{"id": f"{number}.1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": f"{number}.1", "name": "shell", "content": f"total {number % 7}"},
        {"role": "assistant", "content": f"There are {number % 7 if right else number % 7 + 1}."},
    ]


def make_sft_row(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "trajectory": number,
        "revision": number + 100,
        "task": f"t{number}",
        "band": number % 5 + 1,
        "weight": 1.0,
        "messages": make_messages(number),
        "tools": TOOLS,
    }
    return {**row, **changes}


def make_dpo_row(number: int, **changes: Any) -> dict[str, Any]:
    chosen, rejected = make_messages(number), make_messages(number, right=False)
    row = {
        "pair": number,
        "chosen_revision": number + 100,
        "rejected_revision": number + 200,
        "task": f"t{number}",
        "band": number % 5 + 1,
        "weight": 1.0,
        "prompt": chosen[:2],
        "chosen": chosen[2:],
        "rejected": rejected[2:],
        "tools": TOOLS,
    }
    return {**row, **changes}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_run_dir(
    directory: Path,
    job: SFTJob | DPOJob | EvaluateJob,
    *,
    train: list[dict[str, Any]] | None = None,
    held_out: list[dict[str, Any]] | None = None,
) -> Path:
    directory.mkdir(parents=True)
    write_job(directory, job)
    write_lines(directory / TRAIN_FILE, train or [])
    write_lines(directory / EVAL_FILE, held_out or [])
    texts = [str(message["content"]) for number in range(20) for message in make_messages(number)]
    write_lines(directory / CORPUS_FILE, [{"text": text} for text in texts])
    return directory


def start_engine(kind: str, directory: Path) -> subprocess.Popen[bytes]:
    """The engine as a process of its own, its output in log.txt."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with (directory / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"training.engine.{kind}", str(directory)],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def score_by_hand(model: Any, encoded: Any) -> tuple[list[float], list[bool]]:
    """Negative log-likelihood and greedy agreement of every supervised token, from the model's plain logits."""
    import torch

    ids = torch.tensor(encoded.ids, dtype=torch.long)[None]
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0].double()
    losses, right = [], []
    for turn in encoded.turns:
        for place in range(turn.start, turn.end):
            row = logits[place - 1]
            losses.append(float(torch.logsumexp(row, 0) - row[ids[0, place]]))
            right.append(int(row.argmax()) == int(ids[0, place]))
    return losses, right


def read_losses(directory: Path) -> list[tuple[int, float | None]]:
    """(update, training loss) of every log line."""
    return [(metric.step, metric.loss) for metric in read_metrics(directory) if metric.loss is not None]


def read_weights(directory: Path) -> dict[str, Any]:
    """Every tensor below a directory's safetensors files."""
    from safetensors.torch import load_file

    return {
        f"{path.name}:{name}": tensor
        for path in sorted(directory.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def have_same_weights(left: Path, right: Path) -> bool:
    import torch

    a, b = read_weights(left), read_weights(right)
    return a.keys() == b.keys() and len(a) > 0 and all(torch.equal(a[name], b[name]) for name in a)
