"""One tiny model and one trained adapter for all engine tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rows import make_messages, make_run_dir, make_sft_row, write_lines
from training.recipes import SFTRecipe, TinyModel
from training.run_dir import OUTPUT_DIR, Base, SFTJob

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the figures compared here are a CPU's

TINY = TinyModel(hidden_size=32, layers=1, vocab_size=600)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's directory."""
    from training.engine.session import set_environment
    from training.engine.tiny import make_tiny_model

    set_environment()
    folder = tmp_path_factory.mktemp("tiny")
    corpus = folder / "corpus.jsonl"
    texts = [str(message["content"]) for number in range(20) for message in make_messages(number)]
    write_lines(corpus, [{"text": text} for text in texts])
    make_tiny_model(folder / "base", TINY, corpus=corpus, seed=1)
    return folder / "base"


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    from training.engine.models import load_tokenizer

    return load_tokenizer(tiny_model)


@pytest.fixture(scope="session")
def encoder(tokenizer: Any) -> Any:
    from training.engine.encode import Encoder

    return Encoder(tokenizer)


@pytest.fixture(scope="session")
def sft_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter that SFT has moved away from its start."""
    from training.engine.session import Session
    from training.engine.sft import train

    recipe = SFTRecipe(max_steps=3, learning_rate=1e-2, batch_size=2, gradient_accumulation=1, lora_rank=4)
    job = SFTJob(base=Base(path=str(tiny_model)), hyperparameters=recipe)
    directory = make_run_dir(
        tmp_path_factory.mktemp("sft") / "run",
        job,
        train=[make_sft_row(n) for n in range(6)],
    )
    assert train(Session(directory), job) == "done"
    return directory / OUTPUT_DIR
