"""The app of organisations, the accounts behind them, and their history."""

from django.apps import AppConfig


class OrganisationsConfig(AppConfig):
    """Organisations."""

    name = "organisations"
