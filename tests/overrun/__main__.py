"""Let a body outlive its timeout in a real cluster; print what became of all runs, as JSON."""

import json

import django


def main() -> None:
    """Start a cluster, send one event for the body and one for its neighbour, and wait."""
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415  needs Django set up

    from tests.chaos.cluster import Cluster, wait_until  # noqa: PLC0415
    from workflows import send  # noqa: PLC0415
    from workflows.models import Attempt, Run  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    cluster = Cluster()
    before = set(cluster.workers())
    send("overrun/neighbour", {})
    send("overrun/go", {})
    try:
        wait_until(lambda: not Run.objects.unended().exists() and Run.objects.count() == 2, what="")
        wait_until(lambda: bool(set(cluster.workers()) - before), what="a new worker")
    finally:
        cluster.terminate()
    runs = {run.workflow: run for run in Run.objects.all()}
    attempts = Attempt.objects.filter(step_key__isnull=False)
    print(  # noqa: T201  the test reads it
        json.dumps(
            {
                "statuses": {id_: run.status for id_, run in runs.items()},
                "losses": {id_: run.losses for id_, run in runs.items()},
                "failures": [attempt.error["name"] for attempt in attempts],
                "steps": {
                    id_: {step.step_id: [step.status, step.attempts] for step in run.steps.all()}
                    for id_, run in runs.items()
                },
                "is other process": runs["overrunning"].output[0] not in before,
            }
        )
    )


main()
