"""Datasets: made from a recipe, frozen into versions, and versions that are no longer wanted removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, connection, models, transaction
from django.db.models import Max, Q

from curation.models import ACTIVE_STATES, Dataset, DatasetVersion, JobState, Role
from curation.permissions import Access
from curation.recipe import DatasetRecipe, dump_recipe, read_recipe
from curation.services.audit import record_action
from curation.services.dataset_files import locate_file, lock_files, remove_rows
from curation.services.freezing import NothingToFreeze, freeze
from curation.services.jobs import JobStopped, claim_job, end_job, requeue_job


class VersionInUse(ValueError):
    """The version cannot be removed; the text says what uses it."""


def create_dataset(access: Access, *, name: str, recipe: Mapping[str, Any] | DatasetRecipe) -> Dataset:
    """A recipe under a name. Raises ValueError for a recipe that does not hold, or a name that is empty or taken."""
    access.require(Role.CURATOR)
    checked = read_recipe(recipe)
    name = name.strip()
    if not name or len(name) > 120 or not name.isprintable():
        raise ValueError("A dataset needs a name of 1 to 120 characters on one line.")
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(
                project=access.project, name=name, kind=checked.kind, recipe=dump_recipe(checked)
            )
            record_action(access, "dataset.create", dataset, recipe=dataset.recipe)
    except IntegrityError:
        raise ValueError(f"There is a dataset named {name!r} already.") from None
    return dataset


def create_version(access: Access, dataset: Dataset) -> DatasetVersion:
    """The next version of a dataset, waiting to be frozen: the caller sends curation.jobs.freeze_version.

    Raises ValueError while another version of it is being frozen.
    """
    access.require(Role.CURATOR)
    with transaction.atomic():
        locked = Dataset.objects.select_for_update().get(pk=dataset.pk, project=access.project)
        active = locked.versions.filter(state__in=ACTIVE_STATES).first()
        if active is not None:
            raise ValueError(f"Version {active.number} is being frozen already.")
        last = locked.versions.aggregate(last=Max("number"))["last"] or 0
        version = DatasetVersion.objects.create(
            dataset=locked, number=last + 1, recipe=locked.recipe, created_by=access.user
        )
        record_action(access, "version.freeze", version)
    return version


def retry_version(access: Access, version: DatasetVersion) -> None:
    """Freeze a version again that failed or was stopped: the caller sends curation.jobs.freeze_version.

    Raises ValueError for a version in another state, and while another one of the dataset is being frozen.
    """
    access.require(Role.CURATOR)
    with transaction.atomic():
        others = Dataset.objects.select_for_update().get(pk=version.dataset_id, project=access.project).versions
        active = others.filter(state__in=ACTIVE_STATES).exclude(pk=version.pk).first()
        if active is not None:
            raise ValueError(f"Version {active.number} is being frozen already.")
        if not requeue_job(version):
            raise ValueError(f"Version {version.number} neither failed nor was stopped.")
        record_action(access, "version.retry", version)


def list_uses(version: DatasetVersion) -> list[str]:
    """What keeps a version from being removed: runs and evaluations, in words."""
    outside = [one for one in DatasetVersion._meta.related_objects if one.related_model._meta.app_label != "curation"]
    uses = []
    for relation in outside:
        model: type[models.Model] = relation.related_model
        rows = model._default_manager.filter(**{relation.field.name: version}).order_by("pk")
        uses += [f"{model._meta.verbose_name} {row}" for row in rows[:10]]
    return uses


def remove_version(access: Access, version: DatasetVersion) -> None:
    """Remove a version, and its files where no other version has the same. Raises VersionInUse."""
    access.require(Role.CURATOR)
    with transaction.atomic():
        # Whoever starts a run on it waits for this lock, and then finds no version.
        locked = DatasetVersion.objects.select_for_update().get(pk=version.pk, dataset__project=access.project)
        if locked.is_active:
            raise VersionInUse(f"Version {locked.number} is being frozen: stop it first.")
        if uses := list_uses(locked):
            raise VersionInUse(f"Version {locked.number} is in use by {', '.join(uses)}.")
        record_action(access, "version.remove", locked, content_hash=locked.content_hash)
        files = {locked.train_sha256, locked.eval_sha256} - {""}
        locked.delete()
        lock_files()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # nothing is left that could keep this from being committed
        for sha256 in files:
            if not DatasetVersion.objects.filter(Q(train_sha256=sha256) | Q(eval_sha256=sha256)).exists():
                remove_rows(sha256)


def freeze_version(pk: int) -> None:
    """Write a queued version's rows to files, and mark it done; it starts over where an earlier attempt was killed.

    Nothing of it is visible before the one transaction at its end, so a killed attempt leaves only temporary files.
    Raises JobLost where another worker took over.
    """
    version = claim_job(DatasetVersion, pk)
    if version is None:
        return
    _clear_away(f".version-{pk}-*")  # what a killed attempt left half written
    try:
        freeze(version)
    except NothingToFreeze as error:
        advice = "Review more trajectories or judge more pairs, or make a dataset with a wider recipe."
        end_job(version, JobState.FAILED, error=str(error), advice=advice, left_out=version.left_out)
    except JobStopped:
        end_job(version, JobState.STOPPED)
    except OSError as error:
        advice = "Make room on the server's disk, or have its folder looked at; then freeze it again."
        end_job(version, JobState.FAILED, error=f"The files could not be written: {error}", advice=advice)
    finally:
        _clear_away(f".version-{pk}-{version.claim}-*")


def _clear_away(pattern: str) -> None:
    for leftover in locate_file("0" * 64).parent.glob(pattern):
        leftover.unlink(missing_ok=True)
