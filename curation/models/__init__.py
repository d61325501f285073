from curation.models.access import ApiToken, AuditEntry, Membership, Project, Role, User
from curation.models.dataset import Dataset, DatasetRow, DatasetVersion
from curation.models.imports import Blob, Import, ImportRejection, SavedMapping, Upload
from curation.models.job import ACTIVE_STATES, Job, JobState
from curation.models.pair import Judgement, PreferencePair
from curation.models.queue import Queue, QueueItem, Reservation
from curation.models.review import Review, StepLabel
from curation.models.trajectory import Revision, Task, Trajectory

__all__ = [
    "ACTIVE_STATES",
    "ApiToken",
    "AuditEntry",
    "Blob",
    "Dataset",
    "DatasetRow",
    "DatasetVersion",
    "Import",
    "ImportRejection",
    "Job",
    "JobState",
    "Judgement",
    "Membership",
    "PreferencePair",
    "Project",
    "Queue",
    "QueueItem",
    "Reservation",
    "Review",
    "Revision",
    "Role",
    "SavedMapping",
    "StepLabel",
    "Task",
    "Trajectory",
    "Upload",
    "User",
]
