from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.catalog.models import Model, ModelAlias, Provider, ProviderKind, Route
from apps.core.ids import new_id
from apps.organizations.models import Organization
from apps.projects.models import Project
from apps.usage.drainer import Drainer
from apps.usage.integrity import inspect
from apps.usage.journal import Journal, Tokens
from apps.usage.models import State, UsageRecord

from .conftest import accepted
from .test_journal import end

pytestmark = pytest.mark.django_db

LONG_AGO = datetime.timedelta(minutes=5)


@pytest.fixture
def key() -> ApiKey:
    user = User.objects.create_user("a@example.com")
    project = Project.objects.get(organization__memberships__user=user)
    made = create_key(kind=KeyKind.PROJECT, name="k", place=project, holder=Holder(user))[0]
    connection.run_before_commit()
    return made


@pytest.fixture
def stranger() -> Organization:
    return Organization.objects.create(name="Stranger")


def row(key: ApiKey, **changes: Any) -> UsageRecord:
    now = timezone.now()
    fields: dict[str, Any] = {
        "request_id": "req_1",
        "organization_id": key.organization_id,
        "project_id": key.project_id,
        "user_id": key.user_id,
        "api_key_id": key.pk,
        "endpoint": "embeddings",
        "model": "m",
        "state": State.COMPLETED,
        "status": 200,
        "accepted_at": now,
        "ended_at": now,
    }
    return UsageRecord.objects.create(**{**fields, **changes})


def checks(directory: Path, **options: Any) -> list[str]:
    return [violation["check"] for violation in inspect(directory, **options)["violations"]]


def test_what_is_in_order_is_counted(directory: Path, key: ApiKey) -> None:
    row(key, prompt_tokens=1, completion_tokens=2, cached_tokens=3, reasoning_tokens=4)
    row(key, prompt_tokens=10, state=State.CANCELLED, status=499)
    assert inspect(directory) == {
        "ok": True,
        "violations": [],
        "requests": {"cancelled": 1, "completed": 1},
        "tokens": {"prompt": 11, "completion": 2, "cached": 3, "reasoning": 4},
        "pending_lines": 0,
        "interrupted_keys": 0,
    }


def test_since_leaves_out_what_is_older(directory: Path, key: ApiKey) -> None:
    row(key, accepted_at=timezone.now() - LONG_AGO, prompt_tokens=-1)
    report = inspect(directory, timezone.now() - LONG_AGO / 2)
    assert (report["ok"], report["requests"]) == (True, {})


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"ended_at": None}, "incomplete_end"),
        ({"status": None}, "incomplete_end"),
        ({"state": "lost"}, "unknown_state"),
        ({"state": State.OPEN, "status": None}, "ended_while_open"),
        ({"cached_tokens": -1}, "negative_tokens"),
        ({"user_id": "user_else"}, "usage_key"),
    ],
)
def test_a_wrong_row_is_a_violation(directory: Path, key: ApiKey, changes: dict[str, Any], check: str) -> None:
    wrong = row(key, **changes)
    [violation] = inspect(directory)["violations"]
    assert (violation["check"], violation["id"]) == (check, wrong.public_id)


def test_a_row_across_tenants_is_a_violation(directory: Path, key: ApiKey, stranger: Organization) -> None:
    theirs = Provider.objects.create(name="p", kind=ProviderKind.CUSTOM, organization=stranger)
    row(key, provider_id=theirs.pk)
    row(key, organization_id=stranger.pk)
    other = Project.objects.create(organization_id=key.organization_id, name="other")
    row(key, project_id=other.pk)
    assert checks(directory) == ["usage_project", "usage_key", "usage_provider"]


def test_rows_whose_tenant_was_deleted_are_no_violation(directory: Path, key: ApiKey) -> None:
    row(key)
    Organization.objects.filter(pk=key.organization_id).delete()
    assert checks(directory) == []


def test_an_open_row_is_fine_while_its_process_lives(journal: Journal, directory: Path, key: ApiKey) -> None:
    entry = journal.accept(accepted(accepted_at=(timezone.now() - LONG_AGO).timestamp()))
    Drainer(directory).drain_once()
    assert checks(directory) == []
    entry.end(state=State.COMPLETED, status=200, tokens=Tokens(), first_token_ms=None, duration_ms=1)
    journal.close()
    report = inspect(directory)
    assert (report["ok"], report["pending_lines"], report["requests"]) == (True, 1, {"open": 1})


def test_an_open_row_nobody_holds_is_a_violation_after_a_minute(directory: Path, key: ApiKey) -> None:
    row(key, state=State.OPEN, status=None, ended_at=None)
    assert checks(directory) == []
    row(key, state=State.OPEN, status=None, ended_at=None, accepted_at=timezone.now() - LONG_AGO)
    assert checks(directory) == ["open_row"]


def test_an_open_row_of_a_dead_process_is_a_violation(journal: Journal, directory: Path) -> None:
    journal.accept(accepted(accepted_at=(timezone.now() - LONG_AGO).timestamp()))
    Drainer(directory).drain_once()
    journal.close()
    assert checks(directory) == ["open_row"]


def test_a_request_the_ledger_lost_is_a_violation(journal: Journal, directory: Path) -> None:
    record = accepted()
    end(journal.accept(record))
    Drainer(directory).drain_once()
    UsageRecord.objects.all().delete()
    [violation] = inspect(directory)["violations"]
    assert (violation["check"], violation["id"]) == ("accepted_without_row", record.usage_id)


def test_lines_not_moved_yet_are_counted_and_left_alone(journal: Journal, directory: Path) -> None:
    end(journal.accept(accepted()))
    report = inspect(directory)
    assert (report["ok"], report["pending_lines"], UsageRecord.objects.count()) == (True, 2, 0)


def test_a_catalog_that_crosses_tenants_is_a_violation(directory: Path, key: ApiKey, stranger: Organization) -> None:
    ours = Model.objects.create(model_id="m", organization_id=key.organization_id)
    theirs = Provider.objects.create(name="p", kind=ProviderKind.CUSTOM, organization=stranger)
    Route.objects.create(model=ours, provider=theirs, upstream_model="m")
    ModelAlias.objects.create(alias="a", model=ours, organization=stranger)
    Project.objects.filter(pk=key.project_id).update(organization=stranger, is_default=False)
    assert checks(directory) == ["tenant_boundary", "tenant_boundary", "route_provider"]


def test_a_credential_that_does_not_open_or_lies_about_is_a_violation(directory: Path) -> None:
    provider = Provider(name="p", kind=ProviderKind.CUSTOM, base_url="http://p.example/v1")
    provider.credential = "plain-credential-1"
    provider.save()
    assert checks(directory) == []
    Provider.objects.filter(pk=provider.pk).update(last_error="401 for plain-credential-1")
    assert checks(directory) == ["plaintext_secret"]
    Provider.objects.filter(pk=provider.pk).update(last_error="", sealed_credential="plain-credential-1")
    assert checks(directory) == ["sealed_credential"]


def test_the_command_prints_json_and_fails_on_a_violation(key: ApiKey) -> None:
    out = StringIO()
    call_command("fsck", "--json", stdout=out)
    assert json.loads(out.getvalue())["ok"] is True
    row(key, prompt_tokens=-1)
    out = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("fsck", "--json", stdout=out)
    assert stopped.value.code == 1
    assert [violation["check"] for violation in json.loads(out.getvalue())["violations"]] == ["negative_tokens"]
    call_command("fsck", "--since", (timezone.now() + LONG_AGO).isoformat(), stdout=out)
    assert out.getvalue().endswith("Everything is in order.\n")


def test_a_bad_since_is_said_so() -> None:
    with pytest.raises(CommandError, match="not an ISO 8601 time"):
        call_command("fsck", "--since", "yesterday")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_drainer_process_stops_cleanly(stop: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "drain_usage", "--settings", "janserver.settings.test"],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"Draining ")
    os.kill(process.pid, stop)
    process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.filterwarnings("ignore:No directory at")  # static files are collected at start, not for tests
def test_the_admin_lists_records_that_outlived_their_tenant(key: ApiKey, client: Client) -> None:
    record = row(key, request_id=new_id("req"), organization_id=10**6, user_id="user_gone")
    client.force_login(
        User.objects.create_superuser("op@example.com", "x"),
        backend="apps.accounts.backends.ProvenAddressBackend",
    )
    page = client.get("/admin/usage/usagerecord/", {"q": record.request_id})
    assert page.status_code == 200
    assert "user_gone" in page.content.decode()
    assert client.get(f"/admin/usage/usagerecord/{record.pk}/change/").status_code == 200
    assert client.post(f"/admin/usage/usagerecord/{record.pk}/delete/").status_code == 403
