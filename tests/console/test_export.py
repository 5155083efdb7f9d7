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
    [("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\tb", "'\tb"), ("a", "a"), (-1, -1)],
)
def test_cells_begin_no_formula(value: object, cell: object):
    assert harmless(value) == cell


def test_a_stranger_and_another_format_get_nothing(client: Client, admin_client: Client):
    url = address("organizations.Organization", "changelist")
    assert client.get(f"{url}export/csv/").status_code == 302
    assert admin_client.get(f"{url}export/xlsx/").status_code == 404
