"""The model's own greedy action at held-out steps, next to what was recorded there."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from training.engine.encode import Encoded, Encoder, RowRefused
from training.engine.scoring import evaluating
from training.engine.tokenise import band_key
from training.results import NextAction
from training.run_dir import DPORow, SFTRow

Step = tuple[int, int]  # index of the row, index of the message in it


def get_messages(row: SFTRow | DPORow) -> list[dict[str, Any]]:
    """The conversation of a row; of a pair its chosen side."""
    return row.messages if isinstance(row, SFTRow) else [*row.prompt, *row.chosen]


def choose_steps(rows: list[SFTRow | DPORow], *, most: int) -> list[Step]:
    """At most `most` agent turns, spread over bands, then rows, then steps.

    It looks at the rows only, so that every model gets the same ones. Of a pair only the first chosen turn counts: the
    one at which both sides part.
    """
    by_band: dict[str, list[list[Step]]] = defaultdict(list)
    for index, row in enumerate(rows):
        if steps := [(index, message) for message in _find_agent_turns(row)]:
            by_band[band_key(row.band)].append(sorted(steps, key=_shuffle))
    bands = [sorted(by_band[band], key=lambda steps: _shuffle(steps[0])) for band in sorted(by_band)]
    return sorted(islice(_take_turns([_take_turns(band) for band in bands]), most))


def _find_agent_turns(row: SFTRow | DPORow) -> list[int]:
    start = 0 if isinstance(row, SFTRow) else len(row.prompt)
    turns = [
        index
        for index, message in enumerate(get_messages(row))
        if index >= start and message.get("role") == "assistant" and message.get("trainable", True) is not False
    ]
    return turns if isinstance(row, SFTRow) else turns[:1]


def _shuffle(step: Step) -> bytes:
    """An order without a pattern that is the same everywhere."""
    return hashlib.sha256(f"{step[0]}:{step[1]}".encode()).digest()


def _take_turns(groups: Any) -> Iterator[Any]:
    """The first of every group, then the second of every group, and so on."""
    waiting = [iter(group) for group in groups]
    while waiting:
        left = []
        for group in waiting:
            for item in islice(group, 1):
                yield item
                left.append(group)
        waiting = left


def write_next_actions(
    model: Any,
    encoder: Encoder,
    rows: list[SFTRow | DPORow],
    steps: list[Step],
    *,
    limit: int,
    max_new_tokens: int,
    check: Callable[[], None],
) -> list[NextAction]:
    """Let the model act at the chosen steps; `check` is called before each and may raise.

    A prompt that leaves no room for the answer within `limit` is cut from the left. A step whose row the chat
    template refuses is left out.
    """
    room = min(max_new_tokens, max(1, limit // 2))
    stops = find_stop_tokens(model, encoder.tokenizer)
    actions: list[NextAction] = []
    encoded: tuple[int, Encoded] | None = None
    with evaluating(model, bf16=False):
        for index, message in steps:
            check()
            row = rows[index]
            try:
                if encoded is None or encoded[0] != index:
                    encoded = index, encoder.encode(get_messages(row), tools=row.tools)
            except RowRefused:
                continue
            turn = next((turn for turn in encoded[1].turns if turn.message == message), None)
            if turn is None:
                continue
            ids = encoded[1].ids.tolist()
            prompt = ids[: turn.start]
            cut = max(0, len(prompt) - (limit - room))
            written = _generate(model, prompt[cut:], room=room, stops=stops, pad=encoder.tokenizer.pad_token_id)
            recorded = _strip_stop(ids[turn.start : turn.end], stops)
            own = _strip_stop(written, stops)
            actions.append(
                NextAction(
                    trajectory=row.trajectory if isinstance(row, SFTRow) else None,
                    pair=row.pair if isinstance(row, DPORow) else None,
                    revision=row.revision if isinstance(row, SFTRow) else row.chosen_revision,
                    step=message,
                    band=row.band,
                    recorded=encoder.tokenizer.decode(recorded),
                    generated=encoder.tokenizer.decode(own),
                    exact=own == recorded,
                    finished=len(own) < len(written),
                    prompt_cut=cut,
                )
            )
    return actions


def find_stop_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end a turn: the tokenizer's, and those of the model's generation settings."""
    stops = model.generation_config.eos_token_id
    found = set(stops) if isinstance(stops, list) else {stops}
    return {stop for stop in (*found, tokenizer.eos_token_id) if stop is not None}


def _strip_stop(ids: list[int], stops: set[int]) -> list[int]:
    """Up to the token that ends the turn."""
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
    return ids[:end]


def _generate(model: Any, prompt: list[int], *, room: int, stops: set[int], pad: int) -> list[int]:
    import torch

    ids = torch.tensor([prompt], dtype=torch.long, device=model.device)
    written = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        max_new_tokens=room,
        eos_token_id=sorted(stops) or None,
        pad_token_id=pad,
    )
    return [int(token) for token in written[0, len(prompt) :]]
