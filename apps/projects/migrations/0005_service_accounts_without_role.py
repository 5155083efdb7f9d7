from django.db import migrations, models

import apps.organizations.roles


class Migration(migrations.Migration):
    dependencies = [("projects", "0004_default_project_stays")]

    operations = [
        migrations.AlterField(
            model_name="serviceaccount",
            name="role",
            field=models.CharField(
                choices=[("owner", "owner"), ("member", "member"), ("viewer", "viewer"), ("none", "none")],
                default=apps.organizations.roles.ProjectRole["MEMBER"],
                max_length=16,
            ),
        ),
    ]
