"""Keys that call models may keep conversations, as new ones may."""

from typing import Any

from django.db import migrations

_READ, _WRITE = "conversations.read", "conversations.write"


def widen(apps: Any, schema_editor: Any) -> None:
    keys = apps.get_model("api_keys", "ApiKey").objects.filter(revoked_at=None)
    for key in keys.only("scopes").iterator():
        wanted = [_READ] if "models.read" in key.scopes else []
        wanted += [_WRITE] if "inference" in key.scopes else []
        if missing := [scope for scope in wanted if scope not in key.scopes]:
            keys.filter(pk=key.pk).update(scopes=[*key.scopes, *missing])


class Migration(migrations.Migration):
    dependencies = [("api_keys", "0008_admin_lists")]

    operations = [migrations.RunPython(widen, migrations.RunPython.noop)]
