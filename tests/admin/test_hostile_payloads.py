"""Data is hostile: whatever is in it, every page shows it as text."""

import pytest
from django.test import Client

from tests.admin.conftest import Operator
from tests.admin.scene import make_scene
from workflows.testing import Workflows

SCRIPT = '<script>alert(1)</script><img src=x onerror=alert(2)>"><svg/onload=alert(3)>'
TEMPLATE = "{{ 7|add:7 }}{% now 'Y' %}</textarea></pre>'\"`"
CONTROLS = "tab\tline\nturned \u202e bell \x07 escape \x1b[31m zero \u200b last"


@pytest.mark.parametrize(
    "text", [SCRIPT, TEMPLATE, CONTROLS], ids=["script", "template", "controls"]
)
def test_hostile_text_is_only_text_on_every_page(
    workflows: Workflows, operator: Operator, text: str
) -> None:
    scene = make_scene(workflows, text=text)
    admin = operator("Admin")

    for path in scene.pages():
        page = read(admin, path)

        assert "<script>alert" not in page, path
        assert "&lt;a href" not in page, f"{path} shows markup as text"
        assert "<img src=x" not in page, path
        assert "<svg/onload" not in page, path
        assert "{% now" not in page.replace("{% now &#x27;Y", ""), path
        assert "</textarea></pre>" not in page, path


def test_what_turns_or_hides_text_is_shown_as_an_escape(
    workflows: Workflows, operator: Operator
) -> None:
    scene = make_scene(workflows, text=CONTROLS)

    page = read(operator("Admin"), f"/admin/workflows/run/{scene.failed}/change/")

    assert "turned \\u202e bell \\u0007" in page
    assert [line for line in page.splitlines() if "\x07" in line] == []


@pytest.mark.parametrize("text", ["\x00", "%00", "'", "customer:\x00", "a" * 26, ":", "::"])
def test_a_search_for_anything_is_answered(
    workflows: Workflows, operator: Operator, text: str
) -> None:
    make_scene(workflows)
    admin = operator("Admin")

    for model in ("run", "event", "registeredworkflow", "schedule", "worker", "operatoraction"):
        answer = admin.get(f"/admin/workflows/{model}/", {"q": text})

        assert answer.status_code == 200, model


@pytest.mark.parametrize(
    "query",
    ["status=x", "period=x", "workflow=%00", "fingerprint=%00", "p=x", "p=99999999", "nothing=1"],
)
def test_a_filter_with_anything_in_it_is_answered(
    workflows: Workflows, operator: Operator, query: str
) -> None:
    make_scene(workflows)

    answer = operator("Admin").get(f"/admin/workflows/run/?{query}")

    assert answer.status_code in (200, 302)


def read(browser: Client, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()
