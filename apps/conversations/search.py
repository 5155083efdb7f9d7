"""
Searching what was said: in titles and in what items say.

On PostgreSQL by text search with one index for all tenants, in which every row also has a word that names its
organization: so a search reads that organization's part of it. On SQLite by FTS5 (`search_index`).
"""

from __future__ import annotations

import re
from typing import Any

from django.db import connections
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from apps.conversations.models import Conversation, ConversationQuerySet, Item
from apps.core.errors import BadRequest

MAX_QUERY, MAX_WORDS = 200, 16
# How much of an item is searched, in characters: PostgreSQL indexes no more than a megabyte of a text.
MAX_SEARCHED = 100_000
# What stands between words, as a regular expression of Python and PostgreSQL alike. Without it PostgreSQL takes
# addresses, numbers with signs and names of files for words of their own kind, which nobody finds in parts.
SEPARATORS = r"[!-/:-@\[-`{-~\u00a1\u00ab\u00bb\u00bf\u2000-\u206f\u3000-\u303f]+"
_TITLES, _ITEMS = Conversation._meta.db_table, Item._meta.db_table


def words_of(query: str) -> list[str]:
    """Return the words of what somebody searches for. Raises BadRequest for too many."""
    words = [word for word in re.sub(SEPARATORS, " ", query).split() if any(letter.isalnum() for letter in word)]
    if len(query) > MAX_QUERY or len(words) > MAX_WORDS or "\x00" in query:
        raise BadRequest(f"'q' may have {MAX_QUERY} characters and {MAX_WORDS} words at most.", param="q")
    return words


def matching(rows: ConversationQuerySet, organization_id: int, query: str) -> ConversationQuerySet:
    """
    Return those of an organization's conversations in whose title, or in one of whose items, all words occur.

    The last word may be the beginning of one. To be read where everything is seen: policies keep text search
    off its indexes. So `rows` must say whose they are. Raises BadRequest for too long a query.
    """
    words = words_of(query)
    if not words:
        return rows.none()
    ask = _ask_postgresql if connections[rows.db].vendor == "postgresql" else _ask_sqlite
    return rows.filter(ask(organization_id, words))


def _condition(found: str, values: list[Any]) -> RawSQL:
    return RawSQL(f"{_TITLES}.id {found}", values, output_field=BooleanField())  # noqa: S611  # values are bound


# --- PostgreSQL -----------------------------------------------------------------------------------


def vector(column: str) -> str:
    """SQL for what is indexed of a row: a word for its organization that no text has, and the words of its text."""
    text = f"regexp_replace(left({column}, {MAX_SEARCHED}), '{SEPARATORS}', ' ', 'g')"
    return f"(array_to_tsvector(ARRAY['@' || organization_id::text]) || to_tsvector('simple', {text}))"


def _ask_postgresql(organization_id: int, words: list[str]) -> RawSQL:
    *whole, beginning = words
    wanted = "(plainto_tsquery('simple', %s) && to_tsquery('simple', %s))"
    query = f"(%s::tsquery && {wanted})"
    values = [" ".join(whole), f"'{beginning}':*"]
    # What has no word in it would find everything.
    has_words = f"numnode({wanted}) > 0"
    found = " UNION ".join(
        f"SELECT {key} FROM {table} WHERE {vector(column)} @@ {query} AND {has_words} AND organization_id = %s"  # noqa: S608  # names of ours
        for key, table, column in (("id", _TITLES, "title"), ("conversation_id", _ITEMS, "text"))
    )
    # Of an array PostgreSQL expects few rows and looks them up; of a subquery so many that it reads the whole table.
    return _condition(f"= ANY(ARRAY({found}))", [f"'@{organization_id}'", *values, *values, organization_id] * 2)


# --- SQLite ---------------------------------------------------------------------------------------


def _ask_sqlite(organization_id: int, words: list[str]) -> RawSQL:
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    asked = " ".join(quoted) + "*"
    found = (
        f"SELECT rowid FROM {_TITLES}_search WHERE {_TITLES}_search MATCH %s UNION "  # noqa: S608  # names of ours
        f"SELECT conversation_id FROM {_ITEMS} WHERE organization_id = %s AND id IN "
        f"(SELECT rowid FROM {_ITEMS}_search WHERE {_ITEMS}_search MATCH %s)"
    )
    return _condition(f"IN ({found})", [asked, organization_id, asked])
