"""How PostgreSQL keeps and cleans the tables that change most."""

from django.db import migrations

# Tables whose rows live for seconds must be vacuumed by the number of dead rows, not by a share
# of all: of ten million runs, a fifth would have to be dead before the first time. Free room in
# each page lets an update that touches no index stay in its page.
POSTGRESQL = """
    ALTER TABLE workflows_run SET (
        fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05);
    ALTER TABLE workflows_lane SET (
        fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
    ALTER TABLE workflows_pace SET (
        fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
    ALTER TABLE workflows_admission SET (
        fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
"""


def tune(apps, schema_editor):
    """Tell PostgreSQL how its tables are used; SQLite needs no such thing."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)


class Migration(migrations.Migration):
    dependencies = [("workflows", "0001_initial")]

    operations = [migrations.RunPython(tune, migrations.RunPython.noop)]
