from __future__ import annotations

import datetime
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage, default_storage
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.errors import Conflict, NotFound
from apps.core.http.moments import iso
from apps.organizations.models import Organization
from apps.organizations.roles import Role, Scope
from apps.personal_data import archives, exports
from apps.personal_data.models import DataExport, State
from apps.projects.services import delete_account
from tests.api_keys.conftest import Caller, join
from tests.personal_data.world import furnish

PATH = "/v1/users/me/export"


def written(caller: Caller) -> DataExport:
    """Ask for an export and let it be written."""
    answer = caller.call("GET", PATH)
    assert answer.status_code == 200, answer.content
    export = DataExport.objects.get(user=caller.user)
    exports.write_export(export.pk)
    export.refresh_from_db()
    return export


def contents(export: DataExport) -> dict[str, list[dict[str, Any]]]:
    with default_storage.open(export.file) as file, zipfile.ZipFile(io.BytesIO(file.read())) as archive:
        assert archive.testzip() is None
        return {
            name.removesuffix(".jsonl"): [json.loads(line) for line in archive.read(name).splitlines()]
            for name in archive.namelist()
        }


def only(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def test_an_export_holds_all_that_a_person_owns_and_nothing_else(ada: Caller, bob: Caller):
    made, _ = furnish(ada, "apple"), furnish(bob, "banana")
    join(ada.user, bob.organization, Role.VIEWER)
    found = contents(written(ada))
    assert list(found) == [
        "profile", "settings", "organizations", "api_keys", "conversations", "items", "chat_projects",
        "stored_completions", "shares", "usage",
    ]  # fmt: skip
    assert found["profile"] == [
        {
            "id": ada.user.pk,
            "object": "user",
            "email": "ada@example.com",
            "username": "ada",
            "name": "Ada",
            "picture": "",
            "is_guest": False,
            "created_at": iso(ada.user.created_at),
            "last_seen_at": None,
            "email_addresses": [],
            "connected_accounts": [],
        }
    ]
    assert found["settings"][0]["profile_settings"]["nick_name"] == "apple"
    assert [only(row, "id", "is_personal", "role", "projects") for row in found["organizations"]] == [
        {"id": ada.organization.public_id, "is_personal": True, "role": "owner", "projects": []},
        {"id": bob.organization.public_id, "is_personal": False, "role": "viewer", "projects": []}
        | {"is_personal": True},
    ]
    [key] = found["api_keys"]
    assert only(key, "id", "name", "kind", "status", "organization_id", "project_id") == {
        "id": made["key"],
        "name": "apple key",
        "kind": "user",
        "status": "active",
        "organization_id": ada.organization.public_id,
        "project_id": ada.project.public_id,
    }
    [conversation] = found["conversations"]
    assert only(conversation, "id", "title", "project_id", "item_count") == {
        "id": made["conversation"],
        "title": "apple",
        "project_id": made["folder"],
        "item_count": 2,
    }
    assert [only(item, "conversation_id", "role", "text", "branch", "sequence_number") for item in found["items"]] == [
        {"conversation_id": made["conversation"], "role": "user", "text": f"apple {n}", "branch": "MAIN"}
        | {"sequence_number": n}
        for n in (1, 2)
    ]
    assert [only(row, "id", "name", "instruction") for row in found["chat_projects"]] == [
        {"id": made["folder"], "name": "apple folder", "instruction": "apple"}
    ]
    assert [only(row, "id", "messages") for row in found["stored_completions"]] == [
        {"id": made["completion"], "messages": [{"role": "user", "content": "apple"}]}
    ]
    assert [only(row, "id", "conversation_id", "items", "view_count", "revoked_at") for row in found["shares"]] == [
        {"id": made["share"], "conversation_id": made["conversation"], "items": ["apple"], "view_count": 0}
        | {"revoked_at": None}
    ]
    assert [only(row, "id", "request_id", "accepted_at") for row in found["usage"]] == [
        {"id": made["usage"], "request_id": "req_apple", "accepted_at": "2026-01-02T03:04:05Z"}
    ]
    assert "banana" not in json.dumps(found)
    assert ada.with_key().secret[8:] not in json.dumps(found)


def test_a_person_is_told_how_far_it_is(ada: Caller):
    first = ada.call("GET", PATH).json()
    assert first == ada.call("GET", PATH).json() == ada.call("POST", PATH).json()
    assert only(first, "object", "status", "ready_at", "expires_at", "bytes", "download_url") == {
        "object": "data_export",
        "status": "queued",
        "ready_at": None,
        "expires_at": None,
        "bytes": None,
        "download_url": None,
    }
    export = written(ada)
    ready = ada.call("GET", PATH).json()
    assert ready == first | {
        "status": "ready",
        "ready_at": ready["ready_at"],
        "expires_at": ready["ready_at"] + 86400,
        "bytes": default_storage.size(export.file),
        "download_url": f"{PATH}/{first['id']}/download",
    }
    events = AuditEvent.objects.filter(target_id=first["id"]).values_list("action", "actor_id", "details")
    assert list(events) == [("data_export.created", ada.user.pk, {"user": ada.user.pk})]


def test_a_new_one_takes_the_place_of_the_old(ada: Caller, django_capture_on_commit_callbacks: Any):
    old = written(ada)
    with django_capture_on_commit_callbacks(execute=True):
        new = ada.call("POST", PATH).json()
    assert (new["status"], new["id"] == old.public_id) == ("queued", False)
    assert not default_storage.exists(old.file)
    assert DataExport.objects.get().public_id == new["id"]
    assert ada.call("GET", f"{PATH}/{old.public_id}/download").status_code == 404


def test_after_a_day_it_is_gone(ada: Caller, django_capture_on_commit_callbacks: Any):
    export = written(ada)
    assert exports.tidy_exports() == 0
    DataExport.objects.update(expires_at=timezone.now())
    with pytest.raises(NotFound) as refusal:
        exports.download(export=DataExport.objects.get(), actor=SYSTEM)
    assert refusal.value.code == "export_expired"
    with django_capture_on_commit_callbacks(execute=True):
        assert exports.tidy_exports() == 1
    assert not default_storage.exists(export.file)
    assert exports.tidy_exports() == 0
    assert DataExport.objects.get().state == State.EXPIRED
    again = ada.call("GET", PATH).json()
    assert (again["status"], again["id"] == export.public_id) == ("queued", False)


def test_what_nobody_writes_any_more_is_written_by_somebody_else(ada: Caller):
    ada.call("GET", PATH)
    long_ago = timezone.now() - exports.SILENCE - datetime.timedelta(seconds=1)
    export = DataExport.objects.get()
    for attempts in (1, 2):
        DataExport.objects.update(state=State.RUNNING, attempts=attempts, touched_at=long_ago)
        exports.write_export(export.pk)  # somebody has it
        assert DataExport.objects.get().state == State.RUNNING
        exports.tidy_exports()
        assert DataExport.objects.get().state == State.QUEUED
    DataExport.objects.update(state=State.RUNNING, attempts=3, touched_at=long_ago)
    exports.tidy_exports()
    assert ada.call("GET", PATH).json()["status"] == "queued"  # a failed one is begun anew
    assert DataExport.objects.get().pk != export.pk


def test_one_that_fails_says_so(ada: Caller, settings: Any, tmp_path: Path):
    no_folder = tmp_path / "file"
    no_folder.touch()
    settings.STORAGES = {**settings.STORAGES, "default": on_disk(no_folder)}
    export = written(ada)
    assert export.state == State.FAILED
    with pytest.raises(Conflict) as refusal:
        exports.download(export=export, actor=SYSTEM)
    assert refusal.value.code == "export_not_ready"


def on_disk(folder: Path) -> dict[str, Any]:
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": folder}}


class SlowStorage(InMemoryStorage):
    """Takes so long to save that everybody is gone meanwhile."""

    def save(self, *args: Any, **kwargs: Any) -> str:
        for user in User.objects.all():
            delete_account(user=user, actor=SYSTEM, reason="test")
        return super().save(*args, **kwargs)


def test_an_account_that_goes_meanwhile_leaves_no_file(ada: Caller, settings: Any):
    ada.call("GET", PATH)
    export = DataExport.objects.get()
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}.SlowStorage"}}
    exports.write_export(export.pk)
    assert DataExport.objects.count() == 0
    assert default_storage.listdir(archives.FOLDER)[1] == []


def test_nobody_else_gets_it(ada: Caller, bob: Caller):
    export = written(ada)
    path = f"{PATH}/{export.public_id}/download"
    foreign, unknown = bob.call("GET", path), bob.call("GET", f"{PATH}/export_unknown/download")
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (404, "export_not_found")
    assert foreign.json()["error"]["message"] == unknown.json()["error"]["message"]
    assert bob.call("GET", f"{PATH}/%00/download").status_code == 404
    Organization.objects.filter(pk=ada.organization.pk).update(is_personal=False)
    join(bob.user, Organization.objects.get(memberships__user=ada.user), Role.OWNER)
    assert (
        bob.call("GET", path, openai_organization=ada.user.memberships.get().organization.public_id).status_code == 404
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": KeyKind.PROJECT}, "wrong_key_kind"),
        ({"kind": KeyKind.SERVICE_ACCOUNT}, "wrong_key_kind"),
        ({"kind": KeyKind.ADMIN}, "wrong_key_kind"),
        ({"scopes": [Scope.INFERENCE]}, "insufficient_permissions"),
    ],
)
def test_keys_that_may_not_read_it_all_get_nothing(ada: Caller, fields: dict[str, Any], code: str):
    key = ada.with_key(**fields)
    export = written(ada)
    for method, path in (("GET", PATH), ("POST", PATH), ("GET", f"{PATH}/{export.public_id}/download")):
        answer = key.call(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)
    assert AuditEvent.objects.filter(action="data_export.downloaded").count() == 0


def test_a_personal_key_that_reads_conversations_will_do(ada: Caller):
    key = ada.with_key(scopes=[Scope.CONVERSATIONS_READ])
    assert key.call("GET", PATH).json()["id"] == DataExport.objects.get(user=ada.user).public_id
