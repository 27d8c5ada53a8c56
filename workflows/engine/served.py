"""What a queued run that could be taken waits for: any worker, or one that would take it."""

from workflows.clock import clock
from workflows.models import Run, Worker


def awaited_worker(run: Run) -> str:
    """Say which worker a run waits for."""
    alive = list(Worker.objects.alive(clock.now()).values_list("workflows", "queues"))
    if alive and not any(run.workflow in known for known, _ in alive):
        return (
            f"waits for a worker that knows the workflow {run.workflow!r}: none that is alive does"
        )
    if alive and not any(queues is None or run.queue in queues for _, queues in alive):
        return f"waits for a worker that serves the queue {run.queue!r}: none that is alive does"
    return "waits for a worker"
