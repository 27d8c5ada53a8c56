"""The groups of operators, with what each may do."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEWER = (
    "view_event",
    "view_run",
    "view_step",
    "view_attempt",
    "view_worker",
    "view_registeredworkflow",
    "view_schedule",
    "view_bulkoperation",
)
SUPPORT = (*VIEWER, "view_payload", "retry_run")
OPERATOR = (*SUPPORT, "cancel_run", "replay_run", "bulk_run", "send_event", "pause_workflow")
ADMIN = (
    *OPERATOR,
    "override_workflow",
    "manage_schedule",
    "view_eventkey",
    "manage_eventkey",
    "view_operatoraction",
)
GROUPS = {"Viewer": VIEWER, "Support": SUPPORT, "Operator": OPERATOR, "Admin": ADMIN}


def make_groups(apps, schema_editor):
    """Make the groups; permissions are otherwise made only after all migrations."""
    app_config = apps.get_app_config("workflows")
    app_config.models_module = True
    create_permissions(app_config, apps=apps, verbosity=0)
    app_config.models_module = None
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    for name, codenames in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        wanted = Permission.objects.filter(
            content_type__app_label="workflows", codename__in=codenames
        )
        group.permissions.add(*wanted)


class Migration(migrations.Migration):
    dependencies = [
        ("workflows", "0002_postgresql_storage"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
