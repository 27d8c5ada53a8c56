"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = "Workflows"
admin.site.site_title = "Workflows"
admin.site.index_title = "Platform"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("organisations.urls")),
    # At the root, because SDKs send events to `/e/<key>` and probes ask `/healthz`.
    path("", include("workflows.api.urls")),
]
