"""Messages to tokens, once and by us: which token belongs to which agent turn, for training and for scoring alike."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from training.engine.failures import EngineError
from training.run_dir import load_json

IGNORED = -100
_LITERAL_START, _LITERAL_END = "\ue0f0", "\ue0f1"  # private-use marks around control tokens in a trajectory's text


class RowRefused(Exception):
    """The chat template cannot render this row, or not so that the agent's turns can be told apart."""


@dataclass(frozen=True)
class Turn:
    """An agent turn: index of its message, and its tokens [start, end). Not `whole` once its end was cut off."""

    message: int
    start: int
    end: int
    whole: bool = True


@dataclass(frozen=True)
class Encoded:
    """Token ids of a conversation (int32) and the turns that bear loss, in order."""

    ids: npt.NDArray[np.int32]
    turns: tuple[Turn, ...]

    @property
    def supervised(self) -> int:
        return sum(turn.end - turn.start for turn in self.turns)

    def labels(self) -> npt.NDArray[np.int32]:
        """The ids where a token bears loss, -100 elsewhere."""
        labels = np.full_like(self.ids, IGNORED)
        for turn in self.turns:
            labels[turn.start : turn.end] = self.ids[turn.start : turn.end]
        return labels

    def mask(self) -> npt.NDArray[np.int32]:
        """1 where a token bears loss, 0 elsewhere."""
        mask = np.zeros_like(self.ids)
        for turn in self.turns:
            mask[turn.start : turn.end] = 1
        return mask

    def cut(self, limit: int) -> Encoded:
        """The first `limit` tokens."""
        if len(self.ids) <= limit:
            return self
        turns = tuple(
            replace(turn, end=min(turn.end, limit), whole=turn.end <= limit)
            for turn in self.turns
            if turn.start < limit
        )
        return Encoded(self.ids[:limit], turns)


class Encoder:
    """Renders with the tokenizer's own template where it marks the agent's turns, else with TRL's training version.

    Only the rendering for training changes: the template saved with a model stays as it was.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.template = choose_template(tokenizer)
        special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        special |= set(tokenizer.all_special_tokens)
        longest_first = sorted(filter(None, special), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        # a template that splits its input may leave a lone mark: it is dropped
        self._marked = re.compile(
            f"{_LITERAL_START}({self._control.pattern}){_LITERAL_END}|[{_LITERAL_START}{_LITERAL_END}]"
        )
        self._keeps_strings = self._check_string_arguments()

    def encode(self, messages: Sequence[dict[str, Any]], *, tools: str, context: int = 0) -> Encoded:
        """Tokens of a conversation. Loss is on agent turns from message `context` on that are trainable.

        Raises RowRefused with the reason.
        """
        text, spans = self._render(messages, tools)
        agent = [index for index, message in enumerate(messages) if message.get("role") == "assistant"]
        if len(spans) != len(agent):
            raise RowRefused(f"the chat template marks {len(spans)} agent turns of {len(agent)}")
        ids, places = self._tokenise(text)
        turns = []
        for index, (start, end) in zip(agent, spans, strict=True):
            first, last = np.searchsorted(places, (start, end))
            trainable = messages[index].get("trainable", True) is not False
            if trainable and index >= context and last > first:
                turns.append(Turn(index, int(first), int(last)))
        return Encoded(ids, tuple(turns))

    def _render(self, messages: Sequence[dict[str, Any]], tools: str) -> tuple[str, list[tuple[int, int]]]:
        """The text, with control tokens of the trajectory's own text marked, and the agent's spans in it."""
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            tool_list = load_json(tools) or None
        except (ValueError, RecursionError) as error:
            raise RowRefused("its tools are not JSON") from error
        if tool_list is not None and not isinstance(tool_list, list):
            raise RowRefused("its tools are not a list")
        try:
            texts, spans = render_jinja_template(
                conversations=[[self._prepare_message(message) for message in messages]],
                tools=self._mark_control_tokens(tool_list),
                chat_template=self.template,
                return_assistant_tokens_mask=True,
                **self.tokenizer.special_tokens_map,
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise RowRefused(f"the chat template cannot render it: {' '.join(str(error).split())[:200]}") from error
        return texts[0], [(int(start), int(end)) for start, end in spans[0]]

    def _prepare_message(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message as the template may see it: marked, without our own keys, arguments in the form it takes."""
        marked = {
            key: self._mark_control_tokens(value)
            for key, value in message.items()
            if key != "trainable" and value is not None
        }
        if not self._keeps_strings and marked.get("tool_calls"):
            marked["tool_calls"] = [_parse_arguments(call) for call in marked["tool_calls"]]
        return marked

    def _mark_control_tokens(self, value: Any) -> Any:
        """A trajectory may hold `<|im_end|>` or the like as plain text; it must not end a turn."""
        if isinstance(value, str):
            value = value.replace(_LITERAL_START, "").replace(_LITERAL_END, "")
            return self._control.sub(f"{_LITERAL_START}\\g<0>{_LITERAL_END}", value)
        if isinstance(value, list):
            return [self._mark_control_tokens(item) for item in value]
        if isinstance(value, dict):
            return {key: self._mark_control_tokens(item) for key, item in value.items()}
        return value

    def _tokenise(self, text: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Ids, and the place in the text where each token starts (never falling)."""
        ids: list[int] = []
        places: list[int] = []

        def add(piece: str, at: int, *, literal: bool) -> None:
            encoded = self.tokenizer(
                piece,
                add_special_tokens=False,
                return_offsets_mapping=True,
                split_special_tokens=literal,
                verbose=False,
            )
            ids.extend(encoded["input_ids"])
            places.extend(at + start for start, _ in encoded["offset_mapping"])

        at = 0
        for match in self._marked.finditer(text):
            add(text[at : match.start()], at, literal=False)
            if match[1]:
                add(match[1], match.start(1), literal=True)
            at = match.end()
        add(text[at:], at, literal=False)
        return np.array(ids, dtype=np.int32), np.maximum.accumulate(np.array(places, dtype=np.int64))

    def _check_string_arguments(self) -> bool:
        """Whether the template writes arguments that are a string as they are (some quote them, some fail)."""
        raw = '{"k":  "v"}'
        call: dict[str, Any] = {"id": "1", "type": "function", "function": {"name": "f", "arguments": raw}}
        agent = {"role": "assistant", "content": "", "tool_calls": [call]}
        messages: list[dict[str, Any]] = [{"role": "user", "content": "u"}, agent]
        self._keeps_strings = True
        try:
            return raw in self._render(messages, "[]")[0]
        except RowRefused:
            return False


def choose_template(tokenizer: Any) -> str:
    """A chat template that marks the agent's turns. Raises EngineError when there is none."""
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers

    own = tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default")
    if not own:
        raise EngineError("The model has no chat template.", "Choose an instruction-tuned model, or the tiny one.")
    if has_generation_markers(own):
        return str(own)
    try:
        template = get_training_chat_template(tokenizer)
    except ValueError as error:
        raise EngineError(
            "The model's chat template does not mark the agent's turns, and no training version of it is known.",
            "Put {% generation %} and {% endgeneration %} around the agent's turns in its chat_template.jinja.",
        ) from error
    return str(template)


def _parse_arguments(call: dict[str, Any]) -> dict[str, Any]:
    """For a template that takes only objects; what is no JSON object stays a string."""
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        return call
    return {**call, "function": {**function, "arguments": arguments}} if isinstance(arguments, dict) else call
