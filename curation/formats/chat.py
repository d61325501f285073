"""OpenAI chat messages: `messages` on each record, or one list of messages that is the whole file.

Fine-tuning files, TRL's SFT and KTO records (`label`), and LLaMA-Factory's images beside the messages are such records.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO

from curation.formats.base import FormatError, Found, Head, ImportContext, RecordError, Rejected
from curation.formats.conversations import Conversation, build_document
from curation.formats.decoding import Record
from curation.formats.document import Document
from curation.formats.media import media_part
from curation.formats.reading import build_record, parse_records, read_head, read_whole

_TASK_KEYS = ("task_id", "instance_id", "item_id")
_READ_KEYS = {
    "messages", "tools", "functions", "reward", "success", "label", "rewards", "trial", "seed", "model", "images",
    *_TASK_KEYS,
}  # fmt: skip
_IMAGE = "<image>"


class Chat:
    name = "chat"
    label = "OpenAI chat messages"
    looks_for = "records with a list `messages`, or one list of messages with `role` and `content`"

    def detect(self, head: Head) -> bool:
        first = head.first or {}
        return isinstance(first.get("messages"), list) or _is_message_list(head)

    def parse(self, stream: BinaryIO, context: ImportContext) -> Iterator[Found]:
        build = partial(read_record, context=context)
        try:
            whole = _is_message_list(read_head(stream))
        except FormatError:
            whole = False  # parse_records says what is wrong with the file
        if not whole:
            yield from parse_records(stream, build)
            return
        try:
            messages, warnings = read_whole(stream)
        except RecordError as error:
            yield Rejected(0, str(error), fatal=True)
        else:
            yield build_record(Record(0, {"messages": messages}, "", warnings), build)


def read_record(record: Record, *, context: ImportContext, format: str = Chat.name) -> tuple[Document, list[str]]:
    """One conversation, with what stands beside its messages: tools, task, trial, model and outcome."""
    value = record.value
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RecordError("it has no list of `messages`")
    label = value.get("label")
    judged = isinstance(label, bool)
    conversation = Conversation(
        messages=place_images(messages, value.get("images")),
        tools=value.get("tools", _as_tools(value.get("functions"))),
        agent="chat agent",
        model=value.get("model"),
        task_id=next((value[key] for key in _TASK_KEYS if value.get(key) not in (None, "")), None),
        trial=value.get("trial"),
        seed=value.get("seed"),
        reward=value.get("reward"),
        success=value.get("success", label if judged else None),
        rewards=value.get("rewards"),
        scorer="label" if judged else None,
        extra={key: item for key, item in value.items() if key not in _READ_KEYS},
    )
    return build_document(conversation, format=format, index=record.index, context=context)


def place_images(messages: list[Any], images: Any) -> list[Any]:
    """The messages with the images that stand beside them put in place of `<image>`, in order; the rest at the end.

    As LLaMA-Factory writes them.
    """
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        return messages
    left = list(images)
    placed = [_place_in(message, left) for message in messages]
    last_user = [message for message in placed if isinstance(message, dict) and message.get("role") == "user"][-1:]
    for message in last_user if left else []:
        parts = message["content"] if isinstance(message.get("content"), list) else [message.get("content") or ""]
        message["content"] = parts + [_image_part(image) for image in left]
    return placed


def _place_in(message: Any, left: list[str]) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str) or _IMAGE not in content:
        return dict(message) if isinstance(message, dict) else message
    first, *others = content.split(_IMAGE)
    parts: list[Any] = [first] if first else []
    for text in others:
        parts += [_image_part(left.pop(0)) if left else _IMAGE] + ([text] if text else [])
    return message | {"content": parts}


def _image_part(address: str) -> dict[str, Any]:
    return media_part("image", address).model_dump(mode="json")


def _as_tools(functions: Any) -> Any:
    """Function definitions in their old place, as tools."""
    return (
        [{"type": "function", "function": function} for function in functions] if isinstance(functions, list) else None
    )


def _is_message_list(head: Head) -> bool:
    first = head.first or {}
    return head.layout == "array" and isinstance(first.get("role"), str) and "messages" not in first
