"""Reading imports and what they rejected."""

from __future__ import annotations

from curation.models import Import, ImportRejection
from curation.permissions import Access
from curation.selectors.pages import Page, take_page


def list_imports(access: Access, *, cursor: str | None = None, size: int = 50) -> Page[Import]:
    """Newest first, with who started them."""
    imports = Import.objects.filter(project=access.project).select_related("created_by")
    return take_page(imports, order="-id", cursor=cursor, size=size)


def list_rejections(job: Import, *, cursor: str | None = None, size: int = 50) -> Page[ImportRejection]:
    """In the order of the file."""
    return take_page(job.rejections.all(), order="record_index", cursor=cursor, size=size)
