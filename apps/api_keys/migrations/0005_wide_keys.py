"""Admin keys and organization keys that operators made in a project are good in all of its organization."""

from typing import Any

from django.db import migrations


def leave_project(apps: Any, schema_editor: Any) -> None:
    keys = apps.get_model("api_keys", "ApiKey").objects.using(schema_editor.connection.alias)
    keys.filter(kind__in=["admin", "organization"]).update(project=None)


class Migration(migrations.Migration):
    dependencies = [("api_keys", "0004_tenancy")]
    operations = [migrations.RunPython(leave_project, migrations.RunPython.noop, elidable=True)]
