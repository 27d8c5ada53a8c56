"""`manage.py qcluster`: django-q2's command, with workers that execute workflows."""

from typing import Any

from workflows.workers.cluster import DjangoQCommand, prepare_cluster


class Command(DjangoQCommand):  # type: ignore[misc]  # django-q2 ships no types
    """Starts this host's cluster of workers."""

    help = "Start this host's workers: they execute workflows, and django-q2's ordinary tasks."

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the cluster, and stay until it has stopped."""
        prepare_cluster()
        super().handle(*args, **options)
