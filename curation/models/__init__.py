from curation.models.access import ApiToken, AuditEntry, Membership, Project, Role, User
from curation.models.bulk import BulkAction, BulkChange
from curation.models.dataset import Dataset, DatasetRow, DatasetVersion, LeftOut
from curation.models.difficulty import DifficultyFit
from curation.models.filter import FilterRun, FilterVersion, Indexing, SavedFilter, Verdict
from curation.models.imports import Blob, Import, ImportRejection, SavedMapping, Upload
from curation.models.job import ACTIVE_STATES, Job, JobState
from curation.models.judge import Judge, JudgeFailure, JudgeRun, Opinion
from curation.models.pair import Judgement, PairSearch, PreferencePair
from curation.models.queue import Queue, QueueItem, Reservation, Rubric
from curation.models.review import Decision, Mention, Remark, Review, StepLabel
from curation.models.trajectory import Revision, Task, Trajectory, TrajectoryIndex

__all__ = [
    "ACTIVE_STATES",
    "ApiToken",
    "AuditEntry",
    "Blob",
    "BulkAction",
    "BulkChange",
    "Dataset",
    "DatasetRow",
    "DatasetVersion",
    "Decision",
    "DifficultyFit",
    "FilterRun",
    "FilterVersion",
    "Import",
    "ImportRejection",
    "Indexing",
    "Job",
    "JobState",
    "Judge",
    "JudgeFailure",
    "JudgeRun",
    "Judgement",
    "LeftOut",
    "Membership",
    "Mention",
    "Opinion",
    "PairSearch",
    "PreferencePair",
    "Project",
    "Queue",
    "QueueItem",
    "Remark",
    "Reservation",
    "Review",
    "Revision",
    "Role",
    "Rubric",
    "SavedFilter",
    "SavedMapping",
    "StepLabel",
    "Task",
    "Trajectory",
    "TrajectoryIndex",
    "Upload",
    "User",
    "Verdict",
]
