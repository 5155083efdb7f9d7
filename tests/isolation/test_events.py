"""Every change that can be asked for is in the audit log, with who, from where, in which request and what was before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.core.cache import cache
from django.test import Client

from apps.audit.models import AuditEvent
from apps.core import logs
from tests.architecture.access_table import API_KEYS, OF_ORGANIZATIONS, Entry
from tests.isolation.matrix import Matrix, rolled_back

pytestmark = pytest.mark.django_db
WRITES = [entry for entry in [*OF_ORGANIZATIONS, *API_KEYS] if entry.method not in ("GET", "HEAD")]
# What changes nothing is no event, and an answer to an invite needs its secret: tests/projects/test_invites.py.
NOTHING = {"DELETE /v1/organization/projects/{project_id}/model_permissions"}
ELSEWHERE = {f"POST /v1/organization/invites/{{invite_id}}/{answer}" for answer in ("accept", "decline")}
# Which kinds of events a request writes, in their order.
EXPECTED = {
    "POST /v1/organization": "organization.created",
    "POST /v1/organization/{org_id}": "organization.updated",
    "PATCH /v1/organization/{org_id}": "organization.updated",
    "DELETE /v1/organization/{org_id}": "organization.deleted",
    "POST /v1/organization/transfer": "organization.transferred",
    "POST /v1/organization/leave": "user.deleted api_key.deleted",
    "POST /v1/organization/users/{user_id}": "user.updated",
    "PATCH /v1/organization/users/{user_id}": "user.updated",
    "DELETE /v1/organization/users/{user_id}": "user.deleted",
    "POST /v1/organization/groups": "group.created",
    "POST /v1/organization/groups/{group_id}": "group.updated",
    "PATCH /v1/organization/groups/{group_id}": "group.updated",
    "DELETE /v1/organization/groups/{group_id}": "group.deleted",
    "POST /v1/organization/groups/{group_id}/users": "group.updated",
    "DELETE /v1/organization/groups/{group_id}/users/{user_id}": "group.updated",
    "POST /v1/organization/projects/{project_id}/groups": "role.assignment.created",
    "DELETE /v1/organization/projects/{project_id}/groups/{group_id}": "role.assignment.deleted",
    "POST /v1/organization/roles": "role.created",
    "POST /v1/organization/roles/{role_id}": "role.updated",
    "PATCH /v1/organization/roles/{role_id}": "role.updated",
    "DELETE /v1/organization/roles/{role_id}": "role.deleted",
    "POST /v1/organization/users/{user_id}/roles": "role.assignment.created",
    "DELETE /v1/organization/users/{user_id}/roles/{role_id}": "role.assignment.deleted",
    "POST /v1/organization/groups/{group_id}/roles": "role.assignment.created",
    "DELETE /v1/organization/groups/{group_id}/roles/{role_id}": "role.assignment.deleted",
    "POST /v1/projects/{project_id}/roles": "role.created",
    "POST /v1/projects/{project_id}/roles/{role_id}": "role.updated",
    "PATCH /v1/projects/{project_id}/roles/{role_id}": "role.updated",
    "DELETE /v1/projects/{project_id}/roles/{role_id}": "role.deleted",
    "POST /v1/projects/{project_id}/users/{user_id}/roles": "role.assignment.created",
    "DELETE /v1/projects/{project_id}/users/{user_id}/roles/{role_id}": "role.assignment.deleted",
    "POST /v1/projects/{project_id}/groups/{group_id}/roles": "role.assignment.created",
    "DELETE /v1/projects/{project_id}/groups/{group_id}/roles/{role_id}": "role.assignment.deleted",
    "POST /v1/organization/invites": "invite.sent",
    "DELETE /v1/organization/invites/{invite_id}": "invite.deleted",
    "POST /v1/organization/invites/{invite_id}/resend": "invite.sent",
    "POST /v1/organization/projects": "project.created",
    "POST /v1/organization/projects/{project_id}": "project.updated",
    "PATCH /v1/organization/projects/{project_id}": "project.updated",
    "DELETE /v1/organization/projects/{project_id}": "project.deleted",
    "POST /v1/organization/projects/{project_id}/archive": "project.archived",
    "POST /v1/organization/projects/{project_id}/unarchive": "project.unarchived",
    "POST /v1/organization/projects/{project_id}/model_permissions": "project.updated",
    "PATCH /v1/organization/projects/{project_id}/model_permissions": "project.updated",
    "DELETE /v1/organization/projects/{project_id}/model_permissions": "",
    "POST /v1/organization/projects/{project_id}/users": "user.added",
    "POST /v1/organization/projects/{project_id}/users/{user_id}": "user.updated",
    "PATCH /v1/organization/projects/{project_id}/users/{user_id}": "user.updated",
    "DELETE /v1/organization/projects/{project_id}/users/{user_id}": "user.deleted",
    "POST /v1/organization/admin_api_keys": "api_key.created",
    "POST /v1/organization/admin_api_keys/{key_id}": "api_key.updated",
    "PATCH /v1/organization/admin_api_keys/{key_id}": "api_key.updated",
    "DELETE /v1/organization/admin_api_keys/{key_id}": "api_key.deleted",
    "POST /v1/organization/admin_api_keys/{key_id}/rotate": "api_key.rotated",
    "POST /v1/organization/api_keys": "api_key.created",
    "POST /v1/organization/api_keys/{key_id}": "api_key.updated",
    "PATCH /v1/organization/api_keys/{key_id}": "api_key.updated",
    "DELETE /v1/organization/api_keys/{key_id}": "api_key.deleted",
    "POST /v1/organization/api_keys/{key_id}/rotate": "api_key.rotated",
    "POST /v1/organization/projects/{project_id}/api_keys": "api_key.created",
    "POST /v1/organization/projects/{project_id}/api_keys/{key_id}": "api_key.updated",
    "PATCH /v1/organization/projects/{project_id}/api_keys/{key_id}": "api_key.updated",
    "DELETE /v1/organization/projects/{project_id}/api_keys/{key_id}": "api_key.deleted",
    "POST /v1/organization/projects/{project_id}/api_keys/{key_id}/rotate": "api_key.rotated",
    "POST /v1/organization/projects/{project_id}/service_accounts": "service_account.created api_key.created",
    "POST /v1/organization/projects/{project_id}/service_accounts/{service_account_id}": "service_account.updated",
    "PATCH /v1/organization/projects/{project_id}/service_accounts/{service_account_id}": "service_account.updated",
    "DELETE /v1/organization/projects/{project_id}/service_accounts/{service_account_id}": "api_key.deleted service_account.deleted",
    "POST /v1/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys": "api_key.created",
    "POST /v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}": "rate_limit.updated",
    "PATCH /v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}": "rate_limit.updated",
    "DELETE /v1/organization/projects/{project_id}/rate_limits/{rate_limit_id}": "rate_limit.deleted",
    "POST /v1/auth/api-keys": "api_key.created",
    "POST /v1/auth/api-keys/{key_id}": "api_key.updated",
    "PATCH /v1/auth/api-keys/{key_id}": "api_key.updated",
    "DELETE /v1/auth/api-keys/{key_id}": "api_key.deleted",
    "POST /v1/auth/api-keys/{key_id}/rotate": "api_key.rotated",
    "POST /v1/user/api-keys": "api_key.created",
    "POST /v1/user/api-keys/{key_id}": "api_key.updated",
    "PATCH /v1/user/api-keys/{key_id}": "api_key.updated",
    "DELETE /v1/user/api-keys/{key_id}": "api_key.deleted",
    "POST /v1/user/api-keys/{key_id}/rotate": "api_key.rotated",
}


def events_of(matrix: Matrix, entry: Entry) -> tuple[int, list[AuditEvent]]:
    """Make a request of the table as the owner, and return its status and the events it wrote; it is taken back."""
    path, body, headers = matrix._request(entry, matrix.world.principals["owner"], None, "", is_mirror=False)
    cache.clear()  # tries are counted there
    last = AuditEvent.objects.latest("pk").pk
    with rolled_back():
        response = Client().generic(entry.method, path, body, content_type="application/json", headers=headers)
        return response.status_code, list(AuditEvent.objects.filter(pk__gt=last).order_by("pk"))


@pytest.fixture
def served() -> Iterator[None]:
    """As the edge says of a request."""
    address, request_id = logs.client_address.set("203.0.113.7"), logs.request_id.set("req_one")
    yield
    logs.client_address.reset(address)
    logs.request_id.reset(request_id)


def wanted_by(entry: Entry) -> Entry:
    """The same request, asking for a limit that is not set already."""
    return replace(entry, body={"max_requests_per_1_minute": 8}) if "/rate_limits/" in entry.path else entry


def test_every_write_is_expected_to_be_an_event():
    assert {str(entry) for entry in WRITES} - ELSEWHERE == set(EXPECTED)
    assert {name for name, actions in EXPECTED.items() if not actions} == NOTHING


def test_each_write_is_in_the_log_with_who_where_and_what_was_before(matrix: Matrix, served: None):
    owner, organization = matrix.world.a.owner.pk, matrix.world.a.organization.public_id
    wrong = []
    for entry in WRITES:
        if str(entry) in ELSEWHERE:
            continue
        status, events = events_of(matrix, wanted_by(entry))
        written = " ".join(dict.fromkeys(event.action for event in events))
        if (status // 100, written) != (2, EXPECTED[str(entry)]):
            wrong.append(f"{entry}: {status} {written}")
        # A new organization has its first event itself.
        if entry.path != "/v1/organization" and {event.organization for event in events} - {organization}:
            wrong.append(f"{entry}: in another organization")
        told = {(event.actor_kind, event.actor_id, event.address, event.request_id) for event in events}
        if told - {("user", owner, "203.0.113.7", "req_one")}:
            wrong.append(f"{entry}: by {told}")
        wrong += [f"{entry}: {event.details}" for event in events if event.action in CHANGES and not _tells(event)]
    assert wrong == []


CHANGES = {action for actions in EXPECTED.values() for action in actions.split() if action.endswith(".updated")}


def _tells(event: AuditEvent) -> bool:
    """Whether a change says what was before and what is now, or who was added or removed."""
    pairs = [value for value in event.details.values() if isinstance(value, list) and len(value) == 2]
    return any(before != after for before, after in pairs) or bool(
        {"users_added", "users_removed"} & set(event.details)
    )
