"""What operators come for, done in a real browser, and how many clicks it takes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.shop import Bank, define_charging, define_shipping, fail_for
from workflows.engine.roll_up import roll_up
from workflows.models import BulkOperation, RegisteredWorkflow, Run
from workflows.testing import Workflows

SignedIn = Callable[..., Page]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Clicks:
    """Counts what a hand does: a click, or a word typed and sent."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0

    def on(self, name: str, *, role: Any = "link") -> None:
        self.count += 1
        self.page.get_by_role(role, name=name).first.click()

    def search(self, words: str) -> None:
        self.count += 1
        self.page.locator("#searchbar").fill(words)
        self.page.locator("#searchbar").press("Enter")


def test_an_operator_signs_in(workflows: Workflows, signed_in: SignedIn) -> None:
    page = signed_in()
    page.context.clear_cookies()
    user = User.objects.create_user("bo", password="open-sesame", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))

    page.goto("/admin/")
    page.get_by_label("Username").fill("bo")
    page.get_by_label("Password").fill("open-sesame")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


def test_why_a_customers_order_hangs_is_three_clicks_away(
    workflows: Workflows, signed_in: SignedIn
) -> None:
    define_shipping()
    for customer in ("4710", "4711", "4712"):
        workflows.send("shop/order.paid", {"customerId": customer})
    workflows.drain()
    page = signed_in("Viewer")
    page.goto("/admin/")
    clicks = Clicks(page)

    clicks.on("Runs")
    clicks.search("customer:4711")
    clicks.page.wait_for_url("**q=customer**")
    clicks.count += 1
    page.locator("#result_list th a").first.click()

    why = page.locator(".wf-note")
    expect(why).to_contain_text("Step wait-for-pickup waits for event shop/parcel.picked-up")
    expect(why).to_contain_text("until")
    assert clicks.count == 3


def test_a_failed_run_is_found_read_retried_and_seen_to_complete_live(
    workflows: Workflows, signed_in: SignedIn
) -> None:
    bank = Bank()
    define_charging(bank)
    [run_id] = fail_for(workflows, "4711")
    page = signed_in("Support")
    page.goto("/admin/workflows/run/?q=customer:4711")
    page.locator("#result_list th a").first.click()
    expect(page.locator(".wf-error")).to_contain_text("ConnectionError: The bank is closed.")
    page.locator("summary", has_text="charge-payment").click()
    expect(page.locator(".wf-step").last).to_contain_text("Attempt 1 failed")

    bank.is_open = True
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".wf-head .wf-badge")).to_have_text("queued")
    workflows.drain()

    expect(page.locator(".wf-head .wf-badge")).to_have_text("completed")
    expect(page.get_by_role("status")).to_have_text("charge-card: completed")
    assert Run.objects.get(pk=run_id).output == "receipt-1"


def test_a_run_is_replayed_from_a_step(workflows: Workflows, signed_in: SignedIn) -> None:
    bank = Bank()
    define_charging(bank)
    [run_id] = fail_for(workflows, "4711")
    page = signed_in("Operator")
    page.goto(f"/admin/workflows/run/{run_id}/change/")
    page.locator("summary", has_text="charge-payment").click()
    page.get_by_role("link", name="Replay from this step...").last.click()
    expect(page.get_by_label("From")).to_have_value("charge-payment")

    bank.is_open = True
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".wf-facts")).to_contain_text("Replay of")
    workflows.drain()

    expect(page.locator(".wf-head .wf-badge")).to_have_text("completed")
    assert Run.objects.get(replay_of=run_id).output == "receipt-1"


def test_a_run_is_cancelled_with_a_reason(workflows: Workflows, signed_in: SignedIn) -> None:
    define_shipping()
    workflows.send("shop/order.paid", {"customerId": "4711"})
    workflows.drain()
    run = Run.objects.get()
    page = signed_in("Operator")
    page.goto(f"/admin/workflows/run/{run.pk}/change/")

    page.get_by_role("link", name="Cancel...").click()
    page.get_by_label("Reason").fill("Ordered twice")
    page.get_by_role("button", name="Cancel the run").click()

    expect(page.locator(".wf-note")).to_contain_text("Cancelled: Ordered twice")
    run.refresh_from_db()
    assert (run.status, run.reason) == ("cancelled", "Ordered twice")


def test_retrying_all_that_failed_by_one_error_is_five_clicks(
    workflows: Workflows, signed_in: SignedIn
) -> None:
    bank = Bank()
    define_charging(bank)
    fail_for(workflows, "1", "2", "3")
    workflows.advance("5m")
    roll_up()
    bank.is_open = True
    page = signed_in("Operator")
    page.goto("/admin/")
    clicks = Clicks(page)

    clicks.count += 1
    errors = page.locator("section", has=page.get_by_role("heading", name="Errors"))
    errors.get_by_role("link", name="ConnectionError: The bank is closed.").click()
    clicks.on("Retry all that match...")
    expect(page.locator(".wf-form")).to_contain_text("3 runs")
    page.get_by_label("Reason").fill("The bank is open again")
    clicks.on("Retry 3", role="button")
    expect(page.locator(".wf-head h1")).to_have_text("Retry")
    workflows.advance("10s")

    expect(page.locator(".wf-head .wf-badge")).to_have_text("finished")
    assert clicks.count <= 5
    assert BulkOperation.objects.get().done == 3
    assert set(Run.objects.values_list("status", flat=True)) == {"completed"}


def test_a_workflow_is_paused_and_resumed(workflows: Workflows, signed_in: SignedIn) -> None:
    bank = Bank()
    bank.is_open = True
    define_charging(bank)
    workflows.drain()
    page = signed_in("Operator")
    page.goto("/admin/workflows/registeredworkflow/charge-card/change/")

    page.get_by_role("link", name="Pause...").click()
    page.get_by_label("Reason").fill("The bank moves")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".wf-note")).to_contain_text("The bank moves")
    [run_id] = fail_for(workflows, "4711")
    page.goto(f"/admin/workflows/run/{run_id}/change/")
    expect(page.locator(".wf-note")).to_contain_text("Has not started yet")
    expect(page.locator(".wf-note")).to_contain_text("paused by")
    page.goto("/admin/workflows/registeredworkflow/charge-card/change/")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name="Pause...")).to_be_visible()
    workflows.drain()

    assert RegisteredWorkflow.objects.get(pk="charge-card").paused_at is None
    assert Run.objects.get().status == "completed"


def test_a_new_key_is_shown_once(workflows: Workflows, signed_in: SignedIn) -> None:
    page = signed_in("Admin")
    page.goto("/admin/workflows/eventkey/")

    page.get_by_role("link", name="Create...").click()
    page.get_by_label("Name").fill("checkout")
    page.get_by_role("button", name="Create").click()
    secret = page.locator("#wf-secret").inner_text()
    page.get_by_role("link", name="I have kept it").click()

    expect(page.locator(".wf-head h1")).to_have_text("checkout")
    assert len(secret) > 40
    assert secret not in page.content()


def test_the_keyboard_finds_and_opens_a_run(workflows: Workflows, signed_in: SignedIn) -> None:
    define_charging(Bank())
    fail_for(workflows, "4711")
    page = signed_in("Viewer")
    page.goto("/admin/workflows/run/")

    page.keyboard.press("/")
    page.keyboard.type("customer:4711")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=customer**")
    page.locator("#result_list th a").first.focus()
    page.keyboard.press("Enter")

    expect(page.locator(".wf-head .wf-badge")).to_have_text("failed")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_screen_fits_a_phone(
    workflows: Workflows, signed_in: SignedIn, live_server: LiveServer, theme: Any
) -> None:
    define_charging(Bank())
    [run_id] = fail_for(workflows, "4711")
    page = signed_in(viewport={"width": 390, "height": 844}, color_scheme=theme)

    for path in (
        "",
        "workflows/run/",
        f"workflows/run/{run_id}/change/",
        "workflows/event/",
        "workflows/registeredworkflow/",
        "workflows/registeredworkflow/charge-card/change/",
        "workflows/schedule/",
        "workflows/worker/",
        "workflows/operatoraction/",
        "workflows/eventkey/",
        "workflows/bulkoperation/",
    ):
        page.goto(f"/admin/{path}")
        page.get_by_text("Menu", exact=True).first.wait_for()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, path


def test_everything_works_without_scripts(workflows: Workflows, signed_in: SignedIn) -> None:
    define_charging(Bank())
    fail_for(workflows, "4711", "4712")
    page = signed_in("Operator", java_script_enabled=False)
    page.goto("/admin/workflows/run/")

    page.get_by_role("link", name="Failed", exact=True).click()
    page.locator("#result_list input[name=_selected_action]").first.check()
    page.get_by_role("button", name="Retry").click()

    expect(page.locator(".messagelist")).to_contain_text("Done with 1 run.")
    assert sorted(Run.objects.values_list("status", flat=True)) == ["failed", "queued"]
