"""Pages cost the same with any number of rows: few queries, and no count without an end."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin.conftest import Operator
from tests.admin.scene import make_scene
from workflows.testing import Workflows

MOST_QUERIES = 30
UNBOUNDED_COUNT = re.compile(r'SELECT COUNT\(\*\) AS "__count" FROM "workflows_(run|event|step)"')


def test_no_page_counts_without_an_end_or_asks_more_than_it_must(
    workflows: Workflows, operator: Operator
) -> None:
    scene = make_scene(workflows)
    admin = operator("Admin")

    for path in scene.pages():
        with CaptureQueriesContext(connection) as queries:
            admin.get(path)

        statements = [query["sql"] for query in queries.captured_queries]
        assert len(statements) <= MOST_QUERIES, path
        assert not [sql for sql in statements if UNBOUNDED_COUNT.search(sql)], path


@pytest.mark.parametrize("path", ["run/", "event/", "registeredworkflow/", "operatoraction/"])
def test_a_list_asks_as_much_for_fifty_rows_as_for_five(
    workflows: Workflows, operator: Operator, path: str
) -> None:
    make_scene(workflows)
    admin = operator("Admin")
    admin.get(f"/admin/workflows/{path}")
    with CaptureQueriesContext(connection) as few:
        admin.get(f"/admin/workflows/{path}")
    for number in range(45):
        workflows.send("scene/go", {"customer": str(number), "then": "complete"})
    workflows.drain()

    with CaptureQueriesContext(connection) as many:
        admin.get(f"/admin/workflows/{path}")

    assert len(many) == len(few)


def test_a_count_stops_at_the_cap(
    workflows: Workflows, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_scene(workflows)
    monkeypatch.setattr("workflows.admin.big_tables.MOST_COUNTED", 3)

    page = operator("Admin").get("/admin/workflows/run/").content.decode()

    assert "10,000 or more" in page
