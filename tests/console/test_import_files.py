"""Whatever somebody uploads: a sentence with its row and column, never a failure, and nothing is changed."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import User
from apps.core.errors import BadRequest
from apps.core.tables import MAX_BYTES, Column, Kind, harmless, read_table, unmarked, write_table
from tests.console.importing import LABELS, address, everything, refusal, told, upload
from tests.console.test_admin import fill

COLUMNS = (
    Column("id"),
    Column("name"),
    Column("count", Kind.NUMBER),
    Column("on", Kind.BOOLEAN),
    Column("names", Kind.LIST),
    Column("more", Kind.OBJECT),
)
NAMES = [column.name for column in COLUMNS]
PROJECT = "id, name, organization, description, default_model, allowed_models, denied_models, max_conversations, "
PROJECT += "retention_days, storage, status, is_default, created_at, deleted_at"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")) | st.sampled_from(
    ["'", "''", "=1", "'=1", "''=1", "-1", "@", "\t", "\r", "a\r\nb", '"', ",", "[", "{}", " x ", "'a"]
)
plain = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts
table = st.lists(
    st.fixed_dictionaries(
        {
            "id": texts.filter(bool),
            "name": texts,
            "count": st.none() | st.integers(-(10**18) + 1, 10**18 - 1),
            "on": st.booleans(),
            "names": st.none() | st.lists(texts, max_size=3),
            "more": st.dictionaries(texts, plain | st.lists(plain, max_size=3), max_size=3),
        }
    ),
    min_size=1,
    max_size=5,
)


@given(table, st.sampled_from(["csv", "json"]))
def test_what_is_written_is_read_back(rows: list[dict[str, Any]], kind: str):
    text = write_table(NAMES, [[row[name] for name in NAMES] for row in rows], kind=kind)
    read = read_table(text.encode(), COLUMNS)
    assert [row.cells for row in read] == rows
    assert [row.problems for row in read] == [[]] * len(rows)


@given(texts)
def test_no_text_is_a_formula_and_none_is_lost(text: str):
    cell = harmless(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unmarked(cell) == text


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_rows_or_a_sentence(content: bytes):
    for beginning in (b"", b"id,name,count,on,names,more\n", b'[{"id": '):
        with suppress(BadRequest):
            assert len(read_table(beginning + content, COLUMNS)) > 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("name,colour\na,b", f"Unknown column 'colour'. There are {PROJECT}."),
        ("name,name\na,b", "The column 'name' stands twice."),
        (",name\na,b", f"Unknown column ''. There are {PROJECT}."),
        ("name;organization\na;b", f"Unknown column 'name;organization'. There are {PROJECT}."),
        ("x" * 5000, f"Unknown column '{'x' * 60}…'. There are {PROJECT}."),
        ("name\n", "The file has no rows."),
        ("\ufeff", "The file has no rows."),
        ("\n\n", "The file has no rows."),
        ("[]", "The file has no rows."),
        ('name\n"a', "Row 2 is not CSV: unexpected end of data."),
        ('name\na\n"a"b\n', "Row 3 is not CSV: ',' expected after '\"'."),
        ("name\n" + "a" * 140_000, "Row 2 is not CSV: field larger than field limit (131072)."),
        (b"name\nok\n\xff\xfe\n", "Line 3 is not UTF-8. Save the file as CSV in UTF-8."),
        ("name\nx\n".encode("utf-16"), "Line 1 is not UTF-8. Save the file as CSV in UTF-8."),
        ("name\n" + "x\n" * 1001, "The file has more than 1000 rows. Split it."),
        ([{"name": "x"}] * 1001, "The file has more than 1000 rows. Split it."),
        ("name\n" + "x" * MAX_BYTES, "The file is larger than 1 MB. Split it."),
        ('{"name": "x"}', "The file is not a list of objects."),
        ([{"name": "x"}, 5], "Row 2 is not an object."),
        ([[]], "Row 1 is not an object."),
        ([{"name": "x"}, {"colour": "red"}], f"Row 2: unknown column 'colour'. There are {PROJECT}."),
        ("[{", "The file is not valid JSON: Expecting property name enclosed in double quotes (line 1, column 3)."),
        ('[{"name": "a", "name": "b"}]', "The key 'name' stands twice in one object."),
        ('[{"name": "a\\u0000"}]', "The file holds a NUL character."),
        ('[{"name": "\\ud800"}]', "The file holds a lone surrogate."),
        ('[{"retention_days": NaN}]', "NaN is not JSON."),
        ('[{"retention_days": 1e999}]', "The file holds a number too large for a JSON reader."),
        ('[{"retention_days": ' + "9" * 5000 + "}]", "The file holds a number with too many digits."),
        ("[" * 100 + "]" * 100, "The file is nested deeper than 64 levels."),
        ("[" * 100_000, "The file is nested deeper than 64 levels."),
        (b'[{"name": "\xff"}]', "The file is not valid UTF-8."),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_words(admin_client: Client, content: Any, why: str):
    before = everything()
    assert refusal(upload(admin_client, "projects.Project", content)) == why
    assert everything() == before


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"name": 5}, "name: It must be text."),
        ({"name": ["x"]}, "name: It must be text."),
        ({"name": {"x": 1}}, "name: It must be text."),
        ({"name": True}, "name: It must be text."),
        ({"id": 7}, "id: It must be text."),
        ({"organization": {"public_id": "x"}}, "organization: It must be text."),
        ({"retention_days": 1.5}, "retention_days: It must be a whole number."),
        ({"retention_days": True}, "retention_days: It must be a whole number."),
        ({"retention_days": "7"}, "retention_days: It must be a whole number."),
        ({"retention_days": 10**30}, "retention_days: It must be a whole number."),
        ({"allowed_models": "a"}, 'allowed_models: It must be a list of texts such as ["a", "b"].'),
        ({"allowed_models": [1]}, 'allowed_models: It must be a list of texts such as ["a", "b"].'),
        ({"is_default": None}, "is_default: It must be true or false."),
        ({"retention_days": -1}, "retention_days: Ensure this value is greater than or equal to 1."),
        ({"retention_days": 10**17}, "retention_days: Invalid value for 'settings.retention_days': "),
        ({"allowed_models": [""]}, "allowed_models: Invalid value for 'settings.allowed_models"),
        ({"allowed_models": ["a"] * 501}, "allowed_models: Invalid value for 'settings.allowed_models"),
        ({"allowed_models": ["a"], "denied_models": ["b"]}, "denied_models: Use 'allowed_models' or 'denied_models'"),
        ({"name": ""}, "name: This field is required."),
        ({"name": "x" * 129}, "name: Ensure this value has at most 128 characters (it has 129)."),
        ({"name": "x" * 100_000}, "name: Ensure this value has at most 128 characters (it has 100000)."),
        ({"organization": None}, "organization: This field is required."),
        ({"organization": "1"}, "organization: Select a valid choice."),
        ({"storage": "x" * 5000}, "storage: Select a valid choice."),
    ],
)
def test_a_cell_that_is_wrong_is_named(admin_client: Client, cells: dict[str, Any], why: str):
    organization = fill(1)["organizations.Organization"]
    before = everything()
    row = {"name": "x", "organization": organization.public_id, **cells}
    preview = upload(admin_client, "projects.Project", [row])
    [(what, [line])] = told(preview)
    assert (what, line[: len(why)]) == ("error", why)
    assert len(line) <= 301
    assert (preview.context["token"], everything()) == ("", before)


@pytest.mark.parametrize(
    ("header", "cell", "why"),
    [
        ("name", "a\x00b", "name: It holds a NUL character."),
        ("id", "proj_\x00", "id: It holds a NUL character."),
        ("retention_days", "1E+12", "retention_days: It must be a whole number."),
        ("retention_days", "9" * 19, "retention_days: It must be a whole number."),
        ("retention_days", "٣", "retention_days: It must be a whole number."),
        ("is_default", "yes", "is_default: It must be true or false."),
        ("allowed_models", "a", "allowed_models: It is not valid JSON: Expecting value (line 1, column 1)."),
        ("allowed_models", '["a\\u0000"]', "allowed_models: It holds a NUL character."),
        ("allowed_models", "[" * 99 + "]" * 99, "allowed_models: It is nested deeper than 64 levels."),
        ("allowed_models", "{}", 'allowed_models: It must be a list of texts such as ["a", "b"].'),
    ],
)
def test_a_cell_of_a_csv_file_that_is_wrong_is_named(admin_client: Client, header: str, cell: str, why: str):
    text = io.StringIO()
    csv.writer(text).writerows([[header], [cell]])
    before = everything()
    preview = upload(admin_client, "projects.Project", text.getvalue())
    assert [outcome.number for outcome in preview.context["outcomes"]] == [2]
    [(what, lines)] = told(preview)
    assert (what, lines[0][: len(why)]) == ("error", why)
    assert everything() == before


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "value", ["", "x", "\x01", "'", "=1", "9" * 30, "x" * 20_000, 5, -1, 10**18, 1.5, [], {}, True]
)
def test_no_value_in_any_column_fails_or_changes_anything(admin_client: Client, label: str, value: Any):
    fill(1)
    listed = json.loads(admin_client.get(address(label, "export", "json")).content)
    before = everything()
    new = {name: value for name in listed[0] if name != "id"}
    table = [{**new, "id": ""}, *({"id": listed[0]["id"], name: value} for name in new), {"id": value}]
    assert len(told(upload(admin_client, label, table))) == len(table)
    assert everything() == before


@pytest.mark.parametrize("beginning", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n"])
def test_files_of_spreadsheets_are_read(admin_client: Client, operator: User, beginning: str, end: str):
    own = operator.memberships.get().organization
    lines = ["name,organization,retention_days,is_default", f'"A, ""b""",{own.public_id}, 7 ,FALSE']
    preview = upload(admin_client, "projects.Project", beginning + end.join([*lines, ""]))
    assert told(preview) == [
        ("create", ['name: A, "b"', f"organization: {own.public_id}", "retention_days: 7"]),
    ]


def test_a_spreadsheets_rows_are_counted_with_the_header_and_empty_lines():
    read = read_table(b"id,count\r\n\r\n,\r\na,x\r\n", COLUMNS)
    assert [(row.number, row.problems) for row in read] == [(4, ["count: It must be a whole number."])]
    assert read_table(b'[{"id": "a"}]', COLUMNS)[0].number == 1
