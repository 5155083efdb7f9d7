"""Lists as files: what is listed, and never a secret or a formula."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.test import Client

from apps.core.tables import harmless
from apps.organizations.models import Organization
from tests.console.test_admin import REGISTERED, address, fill

SECRETS = ("sk-provider-secret", "sealed-totp-secret", "sso-client-secret", "digest-of-", "session-1", "pbkdf2", "md5$")


@pytest.mark.parametrize("label", REGISTERED)
def test_every_list_is_a_file_without_secrets(admin_client: Client, label: str):
    row = fill(1)[label]
    name = str(getattr(row, "public_id", row.pk))
    url = address(label, "changelist")
    as_csv, as_json = (admin_client.get(f"{url}export/{kind}/").content.decode() for kind in ("csv", "json"))
    assert name in [cells[0] for cells in csv.reader(io.StringIO(as_csv))]
    assert name in [each["id"] for each in json.loads(as_json)]
    assert [secret for secret in SECRETS if secret in as_csv + as_json] == []


def test_a_file_has_what_the_list_is_narrowed_to(admin_client: Client):
    rows = [fill(number)["organizations.Organization"] for number in (1, 2)]
    Organization.objects.filter(pk=rows[0].pk).update(is_personal=False)
    url = address("organizations.Organization", "changelist") + "export/json/"
    listed = json.loads(admin_client.get(url, {"is_personal__exact": "0"}).content)
    assert [each["id"] for each in listed] == [rows[0].public_id]
    listed = json.loads(admin_client.get(url, {"q": rows[1].public_id}).content)
    assert [each["id"] for each in listed] == [rows[1].public_id]


def test_a_name_that_is_a_formula_is_only_text(admin_client: Client):
    organization = fill(1)["organizations.Organization"]
    Organization.objects.filter(pk=organization.pk).update(name="=HYPERLINK(1)")
    url = address("organizations.Organization", "changelist") + "export/csv/"
    cells = list(csv.reader(io.StringIO(admin_client.get(url).content.decode())))
    assert [row[1] for row in cells if row[0] == organization.public_id] == ["'=HYPERLINK(1)"]


@pytest.mark.parametrize(
    ("value", "cell"),
    [("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\tb", "'\tb"), ("a", "a"), (-1, -1), ("'a", "''a")],
)
def test_cells_begin_no_formula(value: object, cell: object):
    assert harmless(value) == cell


def test_files_have_the_names_of_fields_and_more_than_the_list(admin_client: Client):
    rows = fill(1)
    organization, membership = rows["organizations.Organization"], rows["organizations.Membership"]
    url = address("organizations.Membership", "changelist") + "export/json/"
    [listed] = [each for each in json.loads(admin_client.get(url).content) if each["user"] == membership.user_id]
    assert listed | {"role": "owner"} == listed
    assert (listed["organization"], listed["organization_name"]) == (organization.public_id, str(organization))
    assert listed["user_name"] == "user1@example.com"
    url = address("usage.UsageRecord", "changelist") + "export/csv/"
    header, cells = csv.reader(io.StringIO(admin_client.get(url).content.decode()))
    record = dict(zip(header, cells, strict=True))
    assert {name: record[name] for name in ("organization", "user", "state", "prompt_tokens", "is_stream")} == {
        "organization": str(organization),
        "user": "user1@example.com",
        "state": "completed",
        "prompt_tokens": "7",
        "is_stream": "false",
    }
    url = address("audit.AuditEvent", "changelist") + "export/json/"
    [event] = [each for each in json.loads(admin_client.get(url).content) if each["target_id"] == "target_1"]
    assert (event["action"], event["actor_label"], event["details"]) == ("user.added", "user1@example.com", {})
    assert "request_id" in event


def test_a_stranger_and_another_format_get_nothing(client: Client, admin_client: Client):
    url = address("organizations.Organization", "changelist")
    assert client.get(f"{url}export/csv/").status_code == 302
    assert admin_client.get(f"{url}export/xlsx/").status_code == 404
