"""Trajectories to index, and what the index says of them."""

from __future__ import annotations

import random

from curation.formats.document import Document
from curation.models import Indexing, Project, Revision, Trajectory
from curation.services.indexing import queue_indexing, run_indexing
from curation.similarity import THRESHOLD, estimate_similarity, list_bands, sign_steps
from tests.factories import make_document


def tell(subject: int, *, version: int = 0) -> str:
    """A story of 600 words; another version of it differs in `version` words."""
    rng = random.Random(subject)
    words = [f"{subject}w{rng.randrange(10**6)}" for _ in range(600)]
    for place in range(version):
        words[place * 7] = f"v{version}x{place}"
    return " ".join(words)


def index(project: Project) -> Indexing:
    job = queue_indexing(project.pk)
    assert job is not None
    run_indexing(job.pk)
    job.refresh_from_db()
    return job


def repeats(project: Project) -> list[tuple[int | None, float | None]]:
    """What each trajectory repeats, by its place among all, and how nearly."""
    rows = list(Trajectory.objects.filter(project=project).order_by("pk"))
    places = {row.pk: place for place, row in enumerate(rows)}
    return [(None if row.duplicate_of_id is None else places[row.duplicate_of_id], row.similarity) for row in rows]


def targets(project: Project) -> list[int | None]:
    return [target for target, _ in repeats(project)]


def rewrite(trajectory: Trajectory, text: str) -> None:
    """A new head that says something else altogether."""
    trajectory.refresh_from_db()
    Revision.objects.create(trajectory=trajectory, number=trajectory.head_number + 1, document=make_document(text))
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=trajectory.head_number + 1)


def check_truth(project: Project) -> None:
    """What the stored index says holds of the documents, whatever happened on the way."""
    rows = list(Trajectory.objects.filter(project=project).order_by("pk"))
    documents = {row.pk: Document.model_validate(row.revisions.get(number=row.head_number).document) for row in rows}
    signatures = {pk: sign_steps(document) for pk, document in documents.items()}
    said = {pk: [step.model_dump() for step in document.steps] for pk, document in documents.items()}
    representatives = [row.pk for row in rows if row.duplicate_of_id is None]
    for row in rows:
        assert row.indexed_number == row.head_number
        same = [pk for pk in said if pk < row.pk and said[pk] == said[row.pk]]
        if same:
            assert (row.duplicate_of_id, row.similarity) == (same[0], 1.0)
            continue
        alike = {pk: estimate_similarity(signatures[row.pk], signatures[pk]) for pk in representatives if pk < row.pk}
        if row.duplicate_of_id is None:
            assert max(alike.values(), default=0) < THRESHOLD
        else:
            assert row.duplicate_of_id in representatives
            assert row.similarity == alike[row.duplicate_of_id] >= THRESHOLD
        bands = list_bands(signatures[row.pk], project=project.pk)
        assert row.index.bands == ([] if row.duplicate_of_id else bands)
