from __future__ import annotations

from django.urls import URLPattern, path

from curation.views import imports

inside: list[URLPattern] = [
    path("imports/", imports.import_list, name="import-list"),
    path("imports/<int:pk>/", imports.import_detail, name="import-detail"),
    path("imports/<int:pk>/stop/", imports.import_stop, name="import-stop"),
    path("imports/<int:pk>/resume/", imports.import_resume, name="import-resume"),
]
