"""Load an exported file and take two training steps on it with TRL's own trainer: METHOD FILE FOLDER.

The method is a kind of dataset, or load, which only loads."""

from __future__ import annotations

import sys

from datasets import load_dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)
from trl import (
    DPOConfig,
    DPOTrainer,
    KTOConfig,
    KTOTrainer,
    RewardConfig,
    RewardTrainer,
    SFTConfig,
    SFTTrainer,
)

TEMPLATE = """{%- if tools %}<|im_start|>tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{%- for message in messages %}{%- if message.role == 'assistant' %}<|im_start|>assistant
{% generation %}{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>{{ call.function.name }} {{ \
call.function.arguments }}</tool_call>{% endfor %}<|im_end|>
{% endgeneration %}{%- else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}{%- endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def make_tokenizer(text: list[str]) -> PreTrainedTokenizerFast:
    specials = ["<|im_start|>", "<|im_end|>", "<|pad|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet)
    )
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|pad|>")
    made.chat_template = TEMPLATE
    return made


def main(method: str, file: str, folder: str) -> None:
    if method == "load":  # in pieces of a few rows, each of whose types have to fit the first piece's
        pieces = load_dataset("json", data_files=file, cache_dir=f"{folder}/cache", split="train", chunksize=8000)
        print("rows", len(pieces), "bands", sorted({band or 0 for band in pieces["band"]}))
        return
    rows = load_dataset("json", data_files={"train": file}, cache_dir=f"{folder}/cache", split="train")
    print("rows", len(rows))
    tokenizer = make_tokenizer([str(row) for row in rows])
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=2048,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    kind = Qwen3ForSequenceClassification if method == "reward" else Qwen3ForCausalLM
    model = kind(config)
    # The DPO trainer makes its reference from the directory that the model came from.
    model.save_pretrained(f"{folder}/base")
    model = kind.from_pretrained(f"{folder}/base")
    common = {
        "output_dir": f"{folder}/out",
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "report_to": "none",
        "use_cpu": True,
        "save_strategy": "no",
        "max_length": None,
        "bf16": False,
        "disable_tqdm": True,
    }
    if method == "sft":
        calls = [call for message in rows[0]["messages"] for call in message.get("tool_calls") or []]
        print("arguments", calls[0]["function"]["arguments"])
        common["assistant_only_loss"] = True
    settings, make = {
        "sft": (SFTConfig, SFTTrainer),
        "prompt-completion": (SFTConfig, SFTTrainer),
        "dpo": (DPOConfig, DPOTrainer),
        "kto": (KTOConfig, KTOTrainer),
        "reward": (RewardConfig, RewardTrainer),
    }[method]
    trainer = make(model, args=settings(**common), train_dataset=rows, processing_class=tokenizer)
    result = trainer.train()
    print("steps", result.global_step, "loss", result.training_loss)


if __name__ == "__main__":
    main(*sys.argv[1:])
