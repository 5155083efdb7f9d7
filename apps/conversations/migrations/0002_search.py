"""PostgreSQL's index of what was said. SQLite's is made after migrations, by `apps.conversations.search_index`."""

from django.db import migrations

# As `apps.conversations.search.vector` writes it, which asks by these.
SEPARATORS = r"[!-/:-@\[-`{-~\u00a1\u00ab\u00bb\u00bf\u2000-\u206f\u3000-\u303f]+"
INDEXES = {
    "conversation_title_search": ("conversations_conversation", "title"),
    "item_text_search": ("conversations_item", "text"),
}


def make(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for name, (table, column) in INDEXES.items():
        schema_editor.execute(
            f"CREATE INDEX {name} ON {table} USING gin ((array_to_tsvector(ARRAY['@' || organization_id::text])"
            f" || to_tsvector('simple', regexp_replace(left({column}, 100000), '{SEPARATORS}', ' ', 'g'))))"
        )


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for name in INDEXES:
            schema_editor.execute(f"DROP INDEX {name}")


class Migration(migrations.Migration):
    dependencies = [("conversations", "0001_conversations")]

    operations = [migrations.RunPython(make, drop)]
