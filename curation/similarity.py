"""What makes two trajectories repeat each other: a hash of what their steps say, and a MinHash of it. Pure.

Near duplicates share most of their shingles: runs of five words of what the user, the agent and the tools said. System
prompts and demonstrations are left out, or the attempts of one benchmark would all be alike.
Whoever changes any of this, or the version of rensa, has to have everything indexed anew (`indexed_number` empty).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import islice

import numpy as np
from rensa import RMinHash

from curation.formats.document import Document, Step, text_of

THRESHOLD = 0.85
"""Estimated Jaccard similarity from which a trajectory nearly repeats another."""

_PERMUTATIONS = 128
_BANDS = 16  # of 8 values: two that are alike to 0.85 share one with a probability of 0.994, to 0.5 with 0.06
_SEED = 1
_SHINGLE = 5
_AT_ONCE = 10_000
_WORD = re.compile(r"\w+")


def step_texts(step: Step) -> Iterator[str]:
    """All that a step says, in the order of reading."""
    yield text_of(step.message)
    yield step.reasoning_content or ""
    for call in step.tool_calls or ():
        yield call.function_name
        yield call.arguments_raw
    for result in step.observation.results if step.observation else ():
        yield text_of(result.content)


def hash_steps(document: Document) -> str:
    """SHA-256 (hex) of what the steps say, and who says it: neither ids nor times, nor how it went."""
    digest = hashlib.sha256()
    for step in document.steps:
        for text in (step.source, *step_texts(step)):
            written = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(written) + written)
        digest.update(b"\n")
    return digest.hexdigest()


def sign_steps(document: Document) -> bytes:
    """MinHash signature: 128 whole numbers of 4 bytes, little-endian. Empty where the steps hold no word."""
    minhash = RMinHash(num_perm=_PERMUTATIONS, seed=_SEED)
    shingles = _shingles(document)
    signed = False
    while chunk := list(islice(shingles, _AT_ONCE)):
        minhash.update(chunk)
        signed = True
    return np.array(minhash.digest(), dtype="<u4").tobytes() if signed else b""


def estimate_similarity(one: bytes, other: bytes) -> float:
    """Jaccard similarity of two signatures, 0 to 1; 0 where one is empty."""
    if not one or not other:
        return 0.0
    return float(np.mean(np.frombuffer(one, "<u4") == np.frombuffer(other, "<u4")))


def list_bands(signature: bytes, *, project: int) -> list[int]:
    """What two signatures of a project have one of in common where they are alike: 32-bit hashes of their parts."""
    width = len(signature) // _BANDS
    hashes = []
    for band in range(_BANDS if signature else 0):
        part = signature[band * width : (band + 1) * width]
        digest = hashlib.blake2b(b"%d %d " % (project, band) + part, digest_size=4).digest()
        hashes.append(int.from_bytes(digest, "little", signed=True))
    return hashes


def _shingles(document: Document) -> Iterator[str]:
    run: list[str] = []
    count = 0
    for word in _words(document):
        run.append(word)
        if len(run) == _SHINGLE:
            yield " ".join(run)
            count += 1
            del run[0]
    if run and not count:
        yield " ".join(run)


def _words(document: Document) -> Iterator[str]:
    for step in document.steps:
        if step.source == "system" or (step.extra or {}).get("is_demo"):
            continue
        for text in step_texts(step):
            for match in _WORD.finditer(text):
                yield match[0].lower()
