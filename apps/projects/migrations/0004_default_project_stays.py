from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("organizations", "0003_tenancy"),
        ("projects", "0003_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="project",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("is_default", False), models.Q(("archived_at", None), ("deleted_at", None)), _connector="OR"
                ),
                name="default_project_stays",
            ),
        ),
    ]
