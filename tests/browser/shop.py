"""A shop's workflows: enough for an operator to have something to do."""

from typing import Any

from workflows import Event, Step, workflow
from workflows.testing import Workflows


class Bank:
    """The bank, which may be closed."""

    def __init__(self) -> None:
        self.is_open = False

    def charge(self) -> str:
        if not self.is_open:
            raise ConnectionError("The bank is closed.")
        return "receipt-1"


def define_charging(bank: Bank) -> None:
    """Define a workflow that fails at its second step while the bank is closed."""

    @workflow(
        id="charge-card",
        trigger="shop/card.requested",
        tags={"customer": "event.data.customerId"},
        retries=0,
    )
    def charge_card(event: Event[Any], step: Step) -> str:
        step.run("load-order", lambda: "order-1")
        return step.run("charge-payment", bank.charge)


def define_shipping() -> None:
    """Define a workflow that waits for a parcel to be picked up."""

    @workflow(
        id="ship-order",
        trigger="shop/order.paid",
        tags={"customer": "event.data.customerId"},
    )
    def ship_order(event: Event[Any], step: Step) -> str:
        step.run("print-label", lambda: "label-1")
        step.wait_for_event(
            "wait-for-pickup",
            event="shop/parcel.picked-up",
            match="data.customerId",
            timeout="3d",
        )
        return "shipped"


def fail_for(workflows: Workflows, *customers: str) -> list[str]:
    """Let a card be refused for each of these customers; give the runs."""
    for customer in customers:
        workflows.send("shop/card.requested", {"customerId": customer})
    workflows.drain()
    return [run.id for run in workflows.runs("charge-card")]
