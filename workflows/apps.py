"""Start-up: find every installed app's workflows."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class WorkflowsConfig(AppConfig):
    """The engine as a Django app."""

    name = "workflows"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import `events.py` and `workflows.py` of every app, and the system checks."""
        from workflows import checks  # noqa: F401, PLC0415  registers itself; needs the apps
        from workflows.engine.wakeup import add_waker  # noqa: PLC0415  needs the apps
        from workflows.workers.wake import notify_workers  # noqa: PLC0415  needs the apps

        add_waker(notify_workers)
        autodiscover_modules("events", "workflows")
