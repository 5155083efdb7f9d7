from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="route",
            name="is_listed",
            field=models.BooleanField(
                editable=False,
                help_text="Whether the provider's list had it at the last sync. Empty: made by hand, never listed.",
                null=True,
                verbose_name="listed",
            ),
        ),
    ]
