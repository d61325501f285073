"""Causes in words."""

from __future__ import annotations

import errno

import pytest

from training.engine.failures import EngineError, explain_failure
from training.run_dir import RunDirError


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("error", "cause", "advice"),
    [
        (EngineError("No rows.", "Add some."), "No rows.", "Add some."),
        (RunDirError("job.json is missing"), "job.json is missing", "launch the run again"),
        (OutOfMemoryError("CUDA out of memory. Tried 2 GiB"), "Out of memory. CUDA", "smaller batch"),
        (MemoryError(), "Out of memory.", "smaller batch"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Out of memory.", "smaller batch"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full", "resume"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "disk is full", "resume"),
        (ModuleNotFoundError("no trl", name="trl"), "missing: trl", "requirements/training.txt"),
        (ValueError("set trust_remote_code=True"), "code of its own, which is never run", "built-in"),
        (KeyError("x"), "KeyError: 'x'", "log"),
    ],
)
def test_a_failure_is_told_with_its_cause_and_advice(error: Exception, cause: str, advice: str) -> None:
    told = explain_failure(error)
    assert cause in told[0]
    assert advice in told[1]
