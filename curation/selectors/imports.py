"""Reading imports and what they rejected."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models.functions import Left

from curation.models import Import, ImportRejection, SavedMapping, Upload
from curation.permissions import Access
from curation.selectors.pages import Page, take_page


def list_imports(access: Access, *, cursor: str | None = None, size: int = 50) -> Page[Import]:
    """Newest first, with who started them."""
    imports = Import.objects.filter(project=access.project).select_related("created_by")
    return take_page(imports, order="-id", cursor=cursor, size=size)


def list_uploads(access: Access) -> list[Upload]:
    """What the caller began to upload and neither imported nor dropped, newest first."""
    return list(Upload.objects.filter(project=access.project, created_by=access.user).order_by("-pk")[:20])


def list_mappings(access: Access) -> list[SavedMapping]:
    return list(SavedMapping.objects.filter(project=access.project).order_by("name"))


def stream_rejected(job: Import) -> Iterator[str]:
    """The rejected records as they stood in the file, one after another: a file to mend and to import again."""
    rows = job.rejections.exclude(raw="").order_by("member", "record_index")
    for raw in rows.values_list("raw", flat=True).iterator(10):
        yield raw.strip() + "\n"


def list_rejections(job: Import, *, cursor: str | None = None, size: int = 50) -> Page[ImportRejection]:
    """In the order of the file; of each record only its `beginning` is read."""
    rows = job.rejections.defer("raw").annotate(beginning=Left("raw", 4000))
    return take_page(rows, order="record_index", cursor=cursor, size=size)
