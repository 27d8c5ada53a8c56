"""What other apps may import from the engine is a promise, so it is spelled out here."""

import workflows


def test_workflows_offers_exactly_these_names() -> None:
    assert sorted(workflows.__all__) == [
        "Batch",
        "CancelOn",
        "Concurrency",
        "Cron",
        "Debounce",
        "Event",
        "EventData",
        "EventTrigger",
        "Idempotency",
        "InvalidEvent",
        "NestedStepError",
        "NonRetriableError",
        "Priority",
        "RateLimit",
        "RetryAfterError",
        "RunStateError",
        "Singleton",
        "Step",
        "StepError",
        "StepResultNotStorable",
        "Throttle",
        "Timeouts",
        "UnknownWorkflow",
        "Workflow",
        "WorkflowsError",
        "asend",
        "current_run",
        "send",
        "send_signal",
        "workflow",
    ]


def test_every_public_name_is_there() -> None:
    missing = [name for name in workflows.__all__ if not hasattr(workflows, name)]

    assert missing == []
