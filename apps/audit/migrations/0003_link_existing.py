"""Events from before the chains join them in the order they were added."""

from typing import Any

from django.db import migrations

from apps.audit.chain import digest

_BATCH = 1000


def link_existing(apps: Any, schema_editor: Any) -> None:
    events = apps.get_model("audit", "AuditEvent").objects.order_by()
    link_model, chain_model = apps.get_model("audit", "AuditLink"), apps.get_model("audit", "AuditChain")
    for organization in list(events.values_list("organization", flat=True).distinct()):
        chain, links = chain_model(organization=organization, sequence=0), []
        for event in events.filter(organization=organization).order_by("pk").iterator(_BATCH):
            previous, chain.sequence = chain.hash, chain.sequence + 1
            chain.hash = digest(event, chain.sequence, previous)
            link = {"organization": organization, "sequence": chain.sequence, "hash": chain.hash}
            links.append(link_model(event=event, previous_hash=previous, **link))
            if len(links) == _BATCH:
                link_model.objects.bulk_create(links)
                links.clear()
        link_model.objects.bulk_create(links)
        chain.save()


def unlink(apps: Any, schema_editor: Any) -> None:
    apps.get_model("audit", "AuditLink").objects.all().delete()
    apps.get_model("audit", "AuditChain").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_chain")]
    operations = [migrations.RunPython(link_existing, unlink)]
