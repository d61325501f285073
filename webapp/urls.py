"""All addresses of the product."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/v1/", include("curation.api.urls")),
    path("api/v1/", include("training.api.urls")),
    path("", include("training.urls")),
    path("", include("curation.urls")),
]
