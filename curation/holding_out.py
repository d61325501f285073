"""Which tasks are kept for measuring, and the lots that decide who stays under a limit. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable


def draw_lot(seed: int, name: str) -> int:
    """A fixed random place in line for something named, 0 to 2**64 - 1."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8])


def hold_out_tasks(tasks: Iterable[tuple[str, int | None]], *, seed: int, share: float) -> frozenset[str]:
    """The fingerprints that are held out, of all of a project's tasks (fingerprint and band).

    A task whose lot is below the share is held out in every dataset with the seed, whatever else there is. In a band
    that has fewer of these than its share (rounded down), those with the next lots are held out as well: see
    ARCHITECTURE.md. Tasks with the same text are one, of the hardest of their bands.
    """
    bands: dict[str, int] = {}
    for fingerprint, band in tasks:
        bands[fingerprint] = max(bands.get(fingerprint, 0), band or 0)
    lots: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for fingerprint, known in bands.items():
        lots[known].append((draw_lot(seed, fingerprint), fingerprint))
    held_out: set[str] = set()
    for drawn in lots.values():
        least = int(share * len(drawn))
        drawn.sort()
        held_out.update(
            fingerprint for place, (lot, fingerprint) in enumerate(drawn) if place < least or lot / 2**64 < share
        )
    return frozenset(held_out)
