"""Why a run ended, in words, and what to try next. No heavy imports: a failing import is explained here too."""

from __future__ import annotations

import errno

from training.run_dir import RunDirError, describe_error


class EngineError(Exception):
    """A cause the engine knows, with advice."""

    def __init__(self, cause: str, advice: str = "") -> None:
        super().__init__(cause)
        self.advice = advice


class StopRequested(Exception):
    """The stop file or SIGTERM was seen outside the training loop."""


def explain_failure(error: BaseException) -> tuple[str, str]:
    """(cause, advice) for status.json."""
    text = " ".join(str(error).split())
    lowered = text.lower()
    if isinstance(error, EngineError):
        return text, error.advice
    if isinstance(error, RunDirError):
        return text, "The run directory is not complete: launch the run again."
    if isinstance(error, ModuleNotFoundError):
        return f"A package for training is missing: {error.name}.", "pip install -r requirements/training.txt"
    if is_out_of_memory(error, lowered):
        return (
            f"Out of memory. {text[:300]}".strip(),
            "Use a smaller batch with more gradient accumulation, shorter rows, a LoRA adapter or a smaller model.",
        )
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or "no space left" in lowered:
        return "The disk is full.", "Free some space and resume: the run goes on from its last checkpoint."
    if "trust_remote_code" in lowered:
        return "The model needs code of its own, which is never run.", "Choose a model of a built-in architecture."
    cause = describe_error(error) if isinstance(error, Exception) else text
    return f"{type(error).__name__}: {cause}"[:2000], "The end of the log has the details."


def is_out_of_memory(error: BaseException, lowered: str) -> bool:
    """GPU and CPU allocators raise different types; some only a RuntimeError with a message."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "out of memory" in lowered
        or "can't allocate memory" in lowered
        or "cannot allocate memory" in lowered
    )


def refuse_not_finite(where: str) -> EngineError:
    """The error for a loss or weights that are NaN or infinite."""
    return EngineError(
        f"The loss is not a number any more ({where}).",
        "Lower the learning rate, and check that the model you start from is sound.",
    )
