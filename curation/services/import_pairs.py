"""Records that are preferences: both sides are attempts, and what was preferred is a confirmed pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from curation.formats.base import ParsedPair
from curation.models import Import, PreferencePair, Revision
from curation.revisions import PairMeasure, measure_pair
from curation.services.import_batches import Attempt


@dataclass(frozen=True)
class PairOfAttempts:
    """The content hashes of a pair's sides, and what is known of them as a pair."""

    chosen_hash: str
    rejected_hash: str
    measure: PairMeasure


def pair_attempts(found: ParsedPair, attempts: Sequence[Attempt]) -> PairOfAttempts:
    """Raises ValueError for two sides that no trainer could learn from."""
    chosen, rejected = attempts
    return PairOfAttempts(chosen.content_hash, rejected.content_hash, measure_pair(found.chosen, found.rejected))


def write_pairs(job: Import, pairs: Sequence[PairOfAttempts]) -> None:
    """Store pairs whose attempts are in the project; one that is there already stays as it is."""
    hashes = {name for pair in pairs for name in (pair.chosen_hash, pair.rejected_hash)}
    recorded = Revision.objects.filter(
        trajectory__project=job.project_id, trajectory__content_hash__in=hashes, number=0
    )
    found = {
        name: (pk, task_id)
        for name, pk, task_id in recorded.values_list("trajectory__content_hash", "pk", "trajectory__task")
    }
    rows = []
    for pair in pairs:
        if pair.chosen_hash in found and pair.rejected_hash in found:
            (chosen, task_id), (rejected, _) = found[pair.chosen_hash], found[pair.rejected_hash]
            rows.append(
                PreferencePair(
                    project_id=job.project_id,
                    task_id=task_id,
                    chosen_id=chosen,
                    rejected_id=rejected,
                    origin=PreferencePair.Origin.IMPORTED,
                    status=PreferencePair.Status.CONFIRMED,
                    **asdict(pair.measure),
                )
            )
    PreferencePair.objects.bulk_create(rows, ignore_conflicts=True)
