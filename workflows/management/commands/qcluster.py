"""`manage.py qcluster`: django-q2's command, with workers that execute workflows."""

import os
from typing import Any

from workflows.workers.cluster import DjangoQCommand, run_cluster
from workflows.workers.connections import warn_of_too_many_connections


class Command(DjangoQCommand):  # type: ignore[misc]  # django-q2 ships no types
    """Starts this host's cluster of workers."""

    help = "Start this host's workers: they execute workflows, and django-q2's ordinary tasks."

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the cluster, and stay until it has stopped."""
        if options["cluster_name"]:
            os.environ["Q_CLUSTER_NAME"] = options["cluster_name"]
        warn_of_too_many_connections()
        run_cluster(once=options["run_once"])
