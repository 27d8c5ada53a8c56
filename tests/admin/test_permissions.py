"""Who may see and do what: buttons follow permission and state, and the server asks again."""

import pytest

from tests.admin.conftest import Operator
from tests.admin.scene import make_scene
from workflows.models import EventKey, OperatorAction, RegisteredWorkflow, Run, Schedule
from workflows.testing import Workflows

ADMIN = "/admin/workflows"


@pytest.mark.parametrize("group", ["Viewer", "Support", "Operator", "Admin"])
def test_each_group_sees_its_pages(workflows: Workflows, operator: Operator, group: str) -> None:
    scene = make_scene(workflows)
    browser = operator(group)

    for path in ("/admin/", f"{ADMIN}/run/", f"{ADMIN}/run/{scene.failed}/change/"):
        assert browser.get(path).status_code == 200
    audit = browser.get(f"{ADMIN}/operatoraction/").status_code
    assert audit == (200 if group == "Admin" else 403)


def test_a_viewer_sees_no_payload_anywhere(workflows: Workflows, operator: Operator) -> None:
    scene = make_scene(workflows, text="top-secret-text")
    viewer = operator("Viewer")
    tags = "?q=customer:top-secret-text"

    for run in (scene.failed, scene.completed):
        for tab in ("input", "output", "error", "history", "raw"):
            page = viewer.get(f"{ADMIN}/run/{run}/change/?tab={tab}").content.decode()
            shown = page.replace("top-secret-text</a>", "").replace("top-secret-text <small>", "")
            for known in (tags, 'key="/top-secret-text"', "Step top-secret-text", '"customer":'):
                shown = shown.replace(known, "")
            assert "ValueError: top-secret-text" not in page
            assert "[&quot;top-secret-text" not in shown
            assert "Traceback (most" not in page
    assert (
        "top-secret-text" not in viewer.get(f"{ADMIN}/event/{scene.event}/change/").content.decode()
    )
    assert "ValueError: top" not in viewer.get("/admin/").content.decode()


@pytest.mark.parametrize(
    ("group", "path"),
    [
        ("Viewer", "run/{failed}/retry/"),
        ("Support", "run/{waiting}/cancel/"),
        ("Support", "run/{failed}/replay/"),
        ("Support", "event/{event}/resend/"),
        ("Support", "event/send/"),
        ("Support", "registeredworkflow/{workflow}/pause/"),
        ("Support", "registeredworkflow/{workflow}/resume/"),
        ("Support", "registeredworkflow/{workflow}/invoke/"),
        ("Support", "bulkoperation/start/"),
        ("Support", "bulkoperation/{operation}/abort/"),
        ("Operator", "registeredworkflow/{workflow}/override/"),
        ("Operator", "registeredworkflow/{workflow}/reset/"),
        ("Operator", "schedule/new/"),
        ("Operator", "schedule/{schedule}/edit/"),
        ("Operator", "schedule/{schedule}/run/"),
        ("Operator", "schedule/{schedule}/switch/"),
        ("Operator", "schedule/{schedule}/remove/"),
        ("Operator", "eventkey/new/"),
        ("Operator", "eventkey/{key}/revoke/"),
    ],
)
def test_the_server_refuses_whoever_lacks_the_permission(
    workflows: Workflows, operator: Operator, group: str, path: str
) -> None:
    scene = make_scene(workflows)
    before = OperatorAction.objects.count()
    ids = {name: getattr(scene, name) for name in scene.__slots__}

    answer = operator(group).post(f"{ADMIN}/{path.format(**ids)}", {"reason": "because"})

    assert answer.status_code == 403
    assert OperatorAction.objects.count() == before
    assert Run.objects.get(pk=scene.failed).status == "failed"
    assert RegisteredWorkflow.objects.get(pk="scene").paused_at is not None
    assert EventKey.objects.get().revoked_at is None
    assert Schedule.objects.get().enabled


@pytest.mark.parametrize(
    "path",
    [
        "run/{failed}/retry/",
        "event/{event}/resend/",
        "registeredworkflow/{workflow}/resume/",
        "registeredworkflow/{workflow}/reset/",
        "schedule/{schedule}/run/",
        "schedule/{schedule}/switch/",
    ],
)
def test_nothing_is_done_by_looking(workflows: Workflows, operator: Operator, path: str) -> None:
    scene = make_scene(workflows)
    before = OperatorAction.objects.count()
    ids = {name: getattr(scene, name) for name in scene.__slots__}

    answer = operator("Admin").get(f"{ADMIN}/{path.format(**ids)}")

    assert answer.status_code == 405
    assert OperatorAction.objects.count() == before


@pytest.mark.parametrize(
    ("group", "buttons"),
    [
        ("Viewer", []),
        ("Support", ["Retry"]),
        ("Operator", ["Retry", "Replay..."]),
    ],
)
def test_the_buttons_of_a_failed_run_follow_permissions(
    workflows: Workflows, operator: Operator, group: str, buttons: list[str]
) -> None:
    scene = make_scene(workflows)

    page = operator(group).get(f"{ADMIN}/run/{scene.failed}/change/").content.decode()

    head = page[
        page.index('<header class="wf-head">') : page.index("</header>", page.index("wf-head"))
    ]
    assert [name for name in ("Retry", "Replay...", "Cancel...") if f">{name}<" in head] == buttons


def test_engine_rows_cannot_be_added_changed_or_deleted_in_forms(
    workflows: Workflows, operator: Operator
) -> None:
    scene = make_scene(workflows)
    admin = operator("Admin")

    for path in ("run/add/", f"run/{scene.failed}/delete/", f"event/{scene.event}/delete/"):
        assert admin.post(f"{ADMIN}/{path}", {"post": "yes"}).status_code == 403
    assert (
        admin.post(f"{ADMIN}/run/{scene.failed}/change/", {"status": "completed"}).status_code
        == 403
    )
    assert Run.objects.get(pk=scene.failed).status == "failed"
