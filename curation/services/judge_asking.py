"""One question to a judge: asked, read, and asked once more where the answer cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

from curation.judge_answers import AnswerError, Judged, read_answer
from curation.judging import Question, Request
from curation.services.judge_calls import TRIES, CallFailed, CallStopped, Endpoint, EndpointRefuses

_LONGEST_QUOTE = 4_000
_ONCE_MORE = (
    "Your answer could not be used: {problem}. Answer again, with one JSON object of the form that was asked for and "
    "nothing else."
)


@dataclass(frozen=True)
class Asked:
    """What became of a question. One of `judged`, `failed`, `refused` and `stopped` is set.

    `failed` says why there is no answer to this question, `refused` why there will be none to any. `replies` are the
    texts that came back, and the tokens are those of all of them.
    """

    judged: Judged | None = None
    failed: str = ""
    refused: str = ""
    stopped: bool = False
    prompt_tokens: int = 0
    answer_tokens: int = 0
    replies: tuple[str, ...] = ()


def ask(endpoint: Endpoint, question: Question, request: Request, *, tries: int = TRIES) -> Asked:
    """Put the question. Raises nothing that has to do with the endpoint: what was spent has to be known in any case."""
    messages = list(request.messages)
    read = written = 0
    problem = ""
    replies: list[str] = []

    def tell(**outcome: object) -> Asked:
        return Asked(prompt_tokens=read, answer_tokens=written, replies=tuple(replies), **outcome)  # type: ignore[arg-type]  # as named below

    for _ in range(2):
        try:
            reply = endpoint.ask(messages, schema=request.schema, most_tokens=request.most_tokens, tries=tries)
        except CallStopped:
            return tell(stopped=True)
        except EndpointRefuses as error:
            return tell(refused=str(error))
        except CallFailed as error:
            return tell(failed=f"{problem} Then: {error}" if problem else str(error))
        read, written = read + reply.prompt_tokens, written + reply.answer_tokens
        replies.append(reply.text)
        if reply.problem:
            return tell(failed=reply.problem)
        try:
            return tell(judged=read_answer(question, request, reply.text))
        except AnswerError as error:
            problem = f"The answer could not be used: {error}."
            messages += [
                {"role": "assistant", "content": reply.text[:_LONGEST_QUOTE]},
                {"role": "user", "content": _ONCE_MORE.format(problem=error)},
            ]
    return tell(failed=problem)


def bound_tokens(request: Request) -> tuple[int, int]:
    """More prompt and answer tokens than the question can cost, asked twice: no token is shorter than a byte."""
    sent = sum(len(message["content"].encode()) + 10 for message in request.messages) + len(str(request.schema))
    return 2 * sent + 2 * _LONGEST_QUOTE + 1_000, 2 * request.most_tokens
