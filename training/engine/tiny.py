"""A small model with random weights and a tokenizer learnt from the project's own text: the whole loop on a laptop."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

from training.engine.failures import EngineError
from training.recipes import TinyModel
from training.run_dir import RunDirError, load_json

CONTEXT_LENGTH = 16384  # tokens; the long conversations of tau-bench fit
HEAD_SIZE = 32
CORPUS_CHARACTERS = 20_000_000  # enough for a vocabulary; more only takes time
END_OF_TURN = "<|im_end|>"
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", END_OF_TURN]
MARKUP_TOKENS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def make_tiny_model(directory: Path, tiny: TinyModel, *, corpus: Path, seed: int) -> None:
    """Write a model directory (safetensors, tokenizer, chat template). One that exists is kept.

    The same settings, corpus and seed give the same files. Raises EngineError when the corpus has no text.
    """
    if directory.exists():
        return
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _train_tokenizer(tiny, corpus)
    heads = tiny.hidden_size // HEAD_SIZE
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=tiny.hidden_size,
        intermediate_size=3 * tiny.hidden_size,
        num_hidden_layers=tiny.layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2) if heads % 2 == 0 else heads,
        head_dim=HEAD_SIZE,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config)
    unfinished = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(directory)


def _train_tokenizer(tiny: TinyModel, corpus: Path):  # type: ignore[no-untyped-def]  # transformers is untyped here
    """Byte-level BPE. Line ends are tokens of their own, so a turn's header never merges with the agent's words."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = _read_corpus(corpus)
    first = next(texts, None)
    if first is None:
        raise EngineError("corpus.jsonl has no text to learn a tokenizer from.", "Choose a dataset that has rows.")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("\n"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=tiny.vocab_size - len(MARKUP_TOKENS),
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(itertools.chain([first], texts), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token=SPECIAL_TOKENS[0],
        additional_special_tokens=[SPECIAL_TOKENS[1]],
        model_max_length=CONTEXT_LENGTH,
        clean_up_tokenization_spaces=False,
    )
    wrapped.add_tokens(MARKUP_TOKENS)
    wrapped.chat_template = TEMPLATE.read_text(encoding="utf-8")
    return wrapped


def _read_corpus(path: Path) -> Iterator[str]:
    """The texts of corpus.jsonl, as many as are needed."""
    if not path.exists():
        return
    left = CORPUS_CHARACTERS
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                text = load_json(line)["text"]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise RunDirError(f"{path.name}, line {number}: not an object with a text") from error
            if not isinstance(text, str):
                raise RunDirError(f"{path.name}, line {number}: the text is not a string")
            if text:
                yield text[:left]
                left -= len(text)
            if left <= 0:
                return
