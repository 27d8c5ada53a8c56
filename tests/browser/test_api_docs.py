"""The page of the HTTP API in a real browser, under its strict policy."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_operators_tasks import SignedIn
from workflows.testing import Workflows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_page_lists_the_calls_and_opens_one_without_a_stranger_or_a_violation(
    workflows: Workflows, signed_in: SignedIn
) -> None:
    page = signed_in()

    page.goto("/api/docs")

    expect(page.locator("#operations-events-send_events .opblock-summary-path")).to_have_text(
        "/api/v1/events"
    )
    calls = page.locator(".opblock-summary-path").all_inner_texts()
    plain = {call.replace("\u200b", "") for call in calls}  # where a long one may be broken
    assert {"/api/v1/runs/{run_id}/cancel", "/e/{event_key}", "/healthz"} <= plain
    page.locator("#operations-events-send_events .opblock-summary").click()
    expect(page.locator("#operations-events-send_events")).to_contain_text(
        "Send one event or a list of them"
    )


def test_a_call_is_tried_out_by_the_session_of_whoever_has_signed_in(
    workflows: Workflows, signed_in: SignedIn
) -> None:
    page = signed_in("Viewer")
    page.goto("/api/docs")
    call = page.locator("[id^=operations][id$=-list_workflows]")

    call.locator(".opblock-summary").click()
    call.get_by_role("button", name="Try it out").click()
    call.get_by_role("button", name="Execute").click()

    answer = call.locator(".live-responses-table .response-col_status").last
    expect(answer).to_contain_text("200")
