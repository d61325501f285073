"""Undoing an import: what it brought goes, as long as nobody has built on it."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from curation.models import (
    DatasetRow,
    Decision,
    Import,
    Judgement,
    PreferencePair,
    Remark,
    Reservation,
    Review,
    Revision,
    Task,
    Trajectory,
)
from curation.permissions import Access
from curation.services.audit import record_action
from curation.services.difficulty import update_difficulty
from curation.services.difficulty_fits import queue_fit
from curation.services.indexing import leave_to_index


def undo_import(access: Access, job: Import) -> int:
    """Remove the trajectories that an import brought, and the tasks that nothing else attempts; returns how many.

    Raises ValueError while it runs, and where something was reviewed, corrected, judged or frozen: nothing is
    removed then.
    """
    with transaction.atomic():
        locked = Import.objects.select_for_update().get(pk=job.pk, project=access.project)
        if locked.is_active:
            raise ValueError("Stop the import before it is undone.")
        if locked.undone_at:
            raise ValueError("This import was undone already.")
        # Whoever begins a review of one of them now waits, and then finds it gone.
        brought = Trajectory.objects.filter(origin=locked).order_by("pk").select_for_update()
        keys = dict(brought.values_list("pk", "task_id"))
        if built := _find_built(locked):
            raise ValueError(f"It cannot be undone: {built}.")
        # What repeated one of them may repeat another, or nothing: the sweeper has it indexed anew.
        leave_to_index(Trajectory.objects.filter(duplicate_of__origin=locked).exclude(origin=locked))
        Trajectory.objects.filter(origin=locked).delete()
        tasks = Task.objects.filter(pk__in=set(keys.values()))
        left = tasks.filter(Exists(Trajectory.objects.filter(task=OuterRef("pk"))))
        kept = set(left.values_list("pk", flat=True))
        tasks.exclude(pk__in=kept).delete()
        update_difficulty(access.project, kept)
        queue_fit(access.project, access.user)  # the sweeper sends it
        Import.objects.filter(pk=job.pk).update(undone_at=timezone.now())
        record_action(access, "import.undo", job.pk, removed=len(keys))
    return len(keys)


def _find_built(job: Import) -> str:
    """What people made of the import's trajectories, in words; empty where nothing."""
    of_import = Q(trajectory__origin=job)
    sides = Q(chosen__trajectory__origin=job) | Q(rejected__trajectory__origin=job)
    pairs = PreferencePair.objects.filter(sides)
    found = {
        "reviewed": Review.objects.filter(of_import).count(),
        "in somebody's hands for review": Reservation.objects.filter(
            Q(item__trajectory__origin=job) | Q(item__pair__in=pairs), state=Reservation.State.HELD
        ).count(),
        "decided by a curator": Decision.objects.filter(of_import, withdrawn_at=None).count(),
        "discussed": Remark.objects.filter(of_import).count(),
        "corrected": Revision.objects.filter(of_import, number__gt=0).count(),
        "judged in pairs": Judgement.objects.filter(pair__in=pairs).count(),
        "frozen in datasets": DatasetRow.objects.filter(
            Q(revision__trajectory__origin=job) | Q(pair__in=pairs)
        ).count(),
    }
    return ", ".join(f"{count:,} of its trajectories are {word}" for word, count in found.items() if count)
