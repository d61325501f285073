from __future__ import annotations

from django.urls import URLPattern, path

from curation.views import imports, uploads

inside: list[URLPattern] = [
    path("imports/", imports.import_list, name="import-list"),
    path("imports/uploads/", uploads.upload_create, name="upload-create"),
    path("imports/uploads/<int:pk>/", uploads.upload_preview, name="upload-preview"),
    path("imports/uploads/<int:pk>/pieces/", uploads.upload_piece, name="upload-piece"),
    path("imports/uploads/<int:pk>/drop/", uploads.upload_drop, name="upload-drop"),
    path("imports/uploads/<int:pk>/retry/", uploads.upload_retry, name="upload-retry"),
    path("imports/<int:pk>/undo/", imports.import_undo, name="import-undo"),
    path("imports/<int:pk>/rejected.jsonl", imports.import_rejected, name="import-rejected"),
    path("imports/<int:pk>/", imports.import_detail, name="import-detail"),
    path("imports/<int:pk>/stop/", imports.import_stop, name="import-stop"),
    path("imports/<int:pk>/resume/", imports.import_resume, name="import-resume"),
]
