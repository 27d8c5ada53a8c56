"""The addresses of organisations, below `/api/v1/`."""

from django.urls import path

from organisations.api import OrganisationsView

urlpatterns = [path("organisations", OrganisationsView.as_view(), name="organisations")]
