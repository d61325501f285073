"""Who may touch what: one function per noun, used by every page and every endpoint.

Each takes the caller's `Access` to one project and looks the noun up inside that project only, so that an id of
another project is not found (404), whatever field of whatever request it came in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import Http404, HttpRequest
from rest_framework.request import Request

from curation.models import (
    ApiToken,
    Blob,
    BulkAction,
    Dataset,
    DatasetVersion,
    Import,
    Judge,
    Judgement,
    JudgeRun,
    Membership,
    Mention,
    PairSearch,
    PreferencePair,
    Project,
    Queue,
    QueueItem,
    Remark,
    Reservation,
    Review,
    Revision,
    Role,
    SavedFilter,
    Task,
    Trajectory,
    Upload,
    User,
)

Noun = TypeVar("Noun", bound=Model)


@dataclass(frozen=True)
class Access:
    """A person in a project, with the roles that this request may use there."""

    user: User
    project: Project
    roles: frozenset[str]
    address: str | None

    @property
    def is_reviewer(self) -> bool:
        return Role.REVIEWER in self.roles

    @property
    def is_curator(self) -> bool:
        return Role.CURATOR in self.roles

    @property
    def is_engineer(self) -> bool:
        return Role.ENGINEER in self.roles

    @property
    def is_owner(self) -> bool:
        return Role.OWNER in self.roles

    def require(self, role: Role) -> None:
        """Raises PermissionDenied, with words for the person, unless this request may act as `role`."""
        if role not in self.roles:
            raise PermissionDenied(f"This needs the role {role.value} in {self.project.name}.")


def access_project(request: HttpRequest | Request, slug: str, role: Role | None = None) -> Access:
    """The caller's access to the project `slug`; Http404 for whoever is no member, PermissionDenied without `role`.

    A token acts in its own project alone, with those of its scopes that its owner still holds.
    """
    user = request.user
    memberships = Membership.objects.select_related("project").filter(project__slug=slug)
    membership = memberships.filter(user=user).first() if isinstance(user, User) else None
    if membership is None or not isinstance(user, User):
        raise Http404("No such project, or you are not a member of it.")
    roles = frozenset(membership.roles)
    token = getattr(request, "auth", None)
    if isinstance(token, ApiToken):
        if token.project_id != membership.project_id:
            raise Http404("This token belongs to another project.")
        roles &= frozenset(token.scopes)
    access = Access(user=user, project=membership.project, roles=roles, address=request.META.get("REMOTE_ADDR") or None)
    if role is not None:
        access.require(role)
    # The page's frame (navigation, roles) is drawn from it.
    target = request._request if isinstance(request, Request) else request
    target.access = access  # type: ignore[attr-defined]  # HttpRequest has no slot for it
    return access


def _get(queryset: QuerySet[Noun], pk: int, noun: str) -> Noun:
    found = queryset.filter(pk=pk).first()
    if found is None:
        raise Http404(f"No {noun} {pk} in this project.")
    return found


def get_import(access: Access, pk: int) -> Import:
    return _get(Import.objects.filter(project=access.project), pk, "import")


def get_upload(access: Access, pk: int) -> Upload:
    """One of the caller's own: nobody else sees what is still on its way in."""
    return _get(Upload.objects.filter(project=access.project, created_by=access.user), pk, "upload")


def get_blob(access: Access, sha256: str) -> Blob:
    found = Blob.objects.filter(project=access.project, sha256=sha256).first()
    if found is None:
        raise Http404("No such blob in this project.")
    return found


def get_trajectory(access: Access, pk: int) -> Trajectory:
    return _get(Trajectory.objects.filter(project=access.project).select_related("task"), pk, "trajectory")


def require_correction(access: Access, trajectory: Trajectory) -> None:
    """Raises PermissionDenied unless the caller is a curator, or a reviewer who holds the trajectory in a queue."""
    held = Reservation.objects.filter(reviewer=access.user, item__trajectory=trajectory, state=Reservation.State.HELD)
    if not (access.is_curator or (access.is_reviewer and held.exists())):
        raise PermissionDenied("Steps are corrected by curators, and by the reviewer who holds the trajectory.")


def get_revision(access: Access, trajectory: Trajectory, number: int) -> Revision:
    """Its document is read when it is asked for: pages read the steps they show."""
    revisions = Revision.objects.filter(trajectory=trajectory, trajectory__project=access.project).defer("document")
    found = revisions.filter(number=number).first()
    if found is None:
        raise Http404(f"No revision {number} of trajectory {trajectory.pk}.")
    return found


def get_queue(access: Access, pk: int) -> Queue:
    return _get(Queue.objects.filter(project=access.project), pk, "queue")


def get_queue_item(access: Access, queue: Queue, pk: int) -> QueueItem:
    items = QueueItem.objects.filter(queue=queue, queue__project=access.project)
    return _get(items.select_related("queue", "trajectory__task", "pair"), pk, "item")


def get_reservation(access: Access, pk: int) -> Reservation:
    reservations = Reservation.objects.filter(item__queue__project=access.project)
    return _get(reservations.select_related("item__queue__rubric"), pk, "reservation")


def get_own_reservation(access: Access, pk: int) -> Reservation:
    """One of the caller's: nobody answers on somebody else's hold."""
    reservation = get_reservation(access, pk)
    if reservation.reviewer_id != access.user.pk:
        raise Http404("This item is somebody else's.")
    return reservation


def get_own_pair(access: Access, pk: int) -> Reservation:
    """The caller's reservation of an item that is a pair."""
    reservation = get_own_reservation(access, pk)
    if reservation.item.pair_id is None:
        raise Http404("No pair of yours is reserved under this number.")
    return reservation


def get_pair(access: Access, pk: int) -> PreferencePair:
    """Its documents are read when they are asked for: pages read the steps they show."""
    pairs = PreferencePair.objects.filter(project=access.project)
    pairs = pairs.select_related("task", "chosen__trajectory", "rejected__trajectory")
    return _get(pairs.defer("chosen__document", "rejected__document"), pk, "pair")


def get_search(access: Access, pk: int) -> PairSearch:
    return _get(PairSearch.objects.filter(project=access.project), pk, "search for pairs")


def get_judge(access: Access, pk: int) -> Judge:
    return _get(Judge.objects.filter(project=access.project).select_related("created_by"), pk, "judge")


def get_judge_run(access: Access, pk: int) -> JudgeRun:
    runs = JudgeRun.objects.filter(judge__project=access.project)
    return _get(runs.select_related("judge__project", "created_by"), pk, "run of a judge")


def get_dataset(access: Access, pk: int) -> Dataset:
    return _get(Dataset.objects.filter(project=access.project), pk, "dataset")


def get_version(access: Access, pk: int) -> DatasetVersion:
    versions = DatasetVersion.objects.filter(dataset__project=access.project).select_related("dataset")
    return _get(versions, pk, "dataset version")


def get_bulk_action(access: Access, pk: int) -> BulkAction:
    return _get(BulkAction.objects.filter(project=access.project).select_related("created_by"), pk, "bulk action")


def get_saved_filter(access: Access, pk: int) -> SavedFilter:
    return _get(SavedFilter.objects.filter(project=access.project), pk, "saved filter")


HIDDEN_THREAD = (
    "This discussion is hidden: the trajectory is in a blind queue in which you have not reviewed it yet, or not "
    "judged a pair of it. It opens for you once you have."
)


BLIND_TRAJECTORY = "You may still be given this trajectory to review blind: answer it first."
SIDES = ("trajectory", "pair__chosen__trajectory", "pair__rejected__trajectory")
"""By what a trajectory is in a queue: as an item, or as a side of one that is a pair."""


def find_blind_trajectories(access: Access, trajectory_ids: Collection[int]) -> set[int]:
    """Those of the trajectories that the caller may still be given in a blind queue.

    What became of them, whose they are, and what others say of them is kept from the caller until they have answered
    the item, or judged the pair; curators see everything.
    """
    if access.is_curator or not trajectory_ids:
        return set()
    waiting = _find_waiting(access)
    found = [waiting.filter(**{f"{side}__in": trajectory_ids}).values_list(side) for side in SIDES]
    return {pk for (pk,) in found[0].union(*found[1:])}


def leave_out_blind(access: Access, rows: QuerySet[Trajectory]) -> QuerySet[Trajectory]:
    """The trajectories but for those: every list, filter and export would tell what is kept from the caller."""
    if access.is_curator or not Queue.objects.filter(project=access.project, blind=True).exists():
        return rows
    waiting = _find_waiting(access)
    for side in SIDES:
        rows = rows.exclude(Exists(waiting.filter(**{side: OuterRef("pk")})))
    return rows


def leave_out_blind_tasks(access: Access, tasks: QuerySet[Task]) -> QuerySet[Task]:
    """The tasks but for those with such an attempt: a pass rate of few attempts tells how one of them ended."""
    if access.is_curator or not Queue.objects.filter(project=access.project, blind=True).exists():
        return tasks
    waiting = _find_waiting(access)
    for side in SIDES:
        tasks = tasks.exclude(Exists(waiting.filter(**{f"{side}__task": OuterRef("pk")})))
    return tasks


def _find_waiting(access: Access) -> QuerySet[QueueItem]:
    """Items of blind queues that the caller has not answered, or whose pair they have not judged."""
    answered = Review.objects.filter(reviewer=access.user, item=OuterRef("pk")).exclude(submitted_at=None)
    judged = Judgement.objects.filter(reviewer=access.user, pair=OuterRef("pair"))
    blind = QueueItem.objects.filter(queue__blind=True, queue__project=access.project)
    return blind.exclude(Exists(answered)).exclude(Exists(judged))


def may_see_outcome(access: Access, trajectory: Trajectory) -> bool:
    return not find_blind_trajectories(access, [trajectory.pk])


def require_thread(access: Access, trajectory: Trajectory) -> None:
    """Raises PermissionDenied, with words for the person, where the discussion is hidden from the caller."""
    if not may_see_outcome(access, trajectory):
        raise PermissionDenied(HIDDEN_THREAD)


def get_remark(access: Access, pk: int) -> Remark:
    remarks = Remark.objects.filter(trajectory__project=access.project)
    return _get(remarks.select_related("trajectory", "author"), pk, "remark")


def require_removal(access: Access, remark: Remark) -> None:
    """Raises PermissionDenied unless the caller wrote the remark or is a curator, and may see its discussion."""
    require_thread(access, remark.trajectory)
    if not (access.is_curator or remark.author_id == access.user.pk):
        raise PermissionDenied("A remark is removed by whoever wrote it, or by a curator.")


def check_mentions(access: Access, pks: Collection[int]) -> None:
    """Raises Http404 unless all of these are mentions of the caller in this project."""
    own = Mention.objects.filter(user=access.user, trajectory__project=access.project, pk__in=pks)
    missing = set(pks) - set(own.values_list("pk", flat=True))
    if missing:
        raise Http404(f"No mention {min(missing)} of yours in this project.")
