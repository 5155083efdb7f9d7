"""Imports on the owners' site: into their own organization, with their own rights, and nothing beyond."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.organizations.models import CustomRole, Invite, Membership, Organization, OrganizationRoleAssignment
from apps.projects.models import Project, ProjectMembership
from apps.quotas.models import RateLimit
from tests.console.importing import KINDS, address, confirm, everything, exported, refusal, told, upload
from tests.console.test_owners_site import fill_of_organization, signed_in

LABELS = [label for label in KINDS if label != "catalog.Model"]


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner@example.com", "correct-horse-9", name="Olive")


@pytest.fixture
def own(owner: User) -> dict[str, Any]:
    return fill_of_organization(owner, "own")


@pytest.fixture
def theirs(db: None) -> dict[str, Any]:
    return fill_of_organization(User.objects.create_user("stranger@example.com", "pw"), "theirs")


@pytest.fixture
def owner_client(owner: User, own: dict[str, Any]) -> Client:
    return at(owner, own["organizations.Organization"])


def at(user: User, organization: Organization) -> Client:
    client = signed_in(user)
    client.post(reverse("tenant:choose"), {"organization": organization.public_id})
    return client


def member(organization: Organization, role: str, *permissions: str) -> Client:
    user = User.objects.create_user("clerk@example.com", "pw")
    membership = Membership.objects.create(organization=organization, user=user, role=role)
    if permissions:
        given = CustomRole.objects.create(
            organization=organization, name="clerk", resource_type="organization", permissions=list(permissions)
        )
        OrganizationRoleAssignment.objects.create(organization=organization, role=given, membership=membership)
    return at(user, organization)


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("label", LABELS)
def test_what_was_exported_changes_nothing_when_it_is_imported(
    owner_client: Client, own: dict[str, Any], theirs: dict[str, Any], label: str, kind: str
):
    organization = own["organizations.Organization"]
    RateLimit.objects.create(organization=organization, max_requests_per_1_day=9)
    Project.objects.create(organization=organization, name="Old", archived_at=organization.created_at)
    before, count = everything(), KINDS[label].objects.in_organization(organization.pk).count()
    preview = upload(owner_client, label, exported(owner_client, label, kind, "tenant"), "tenant")
    assert told(preview) == [("unchanged", [])] * count
    assert everything() == before


def test_owners_import_projects_invites_and_limits(owner_client: Client, own: dict[str, Any], owner: User):
    organization = own["organizations.Organization"]
    preview = upload(owner_client, "projects.Project", "name,retention_days\nApollo,30\n", "tenant")
    assert told(preview) == [("create", ["name: Apollo", "retention_days: 30"])]
    assert confirm(owner_client, "projects.Project", preview, "tenant").status_code == 302
    project = Project.objects.get(name="Apollo")
    assert (project.organization_id, project.created_by_id) == (organization.pk, owner.pk)
    assert ProjectMembership.objects.get(project=project).membership.user_id == owner.pk
    preview = upload(owner_client, "organizations.Invite", [{"email": "new@example.com", "role": "owner"}], "tenant")
    confirm(owner_client, "organizations.Invite", preview, "tenant")
    assert Invite.objects.get(email="new@example.com").organization_id == organization.pk
    limits = [{"project": project.public_id, "model": "m", "max_requests_per_1_minute": 2}]
    confirm(owner_client, "quotas.RateLimit", upload(owner_client, "quotas.RateLimit", limits, "tenant"), "tenant")
    assert tuple(RateLimit.objects.get(project=project).amounts) == (2, None, None)
    events = AuditEvent.objects.filter(actor_id=owner.pk, organization=organization.public_id)
    assert set(events.values_list("action", flat=True)) >= {"project.created", "invite.sent", "rate_limit.updated"}


def test_rows_of_another_tenant_are_as_if_they_never_were(
    owner_client: Client, own: dict[str, Any], theirs: dict[str, Any]
):
    before = everything()
    for label in LABELS:
        foreign, prefix = theirs[label].public_id, theirs[label].public_id.partition("_")[0]
        tables = [[{"id": each, "name" if label == "projects.Project" else "model": "x"}] for each in (foreign, prefix)]
        if label == "organizations.Invite":
            tables = [[{"id": each, "role": "owner"}] for each in (foreign, prefix)]
        answers = [told(upload(owner_client, label, table, "tenant")) for table in tables]
        assert answers[0] == answers[1] == [("error", ["id: There is no such row. Leave it empty for a new one."])]
        listed = upload(owner_client, label, [{"organization": own["organizations.Organization"].public_id}], "tenant")
        assert refusal(listed).startswith("Row 1: unknown column 'organization'.")
    project = {"project": theirs["projects.Project"].public_id, "model": "m", "max_requests_per_1_day": 1}
    [foreign] = told(upload(owner_client, "quotas.RateLimit", [project], "tenant"))
    [nowhere] = told(upload(owner_client, "quotas.RateLimit", [{**project, "project": "proj_0"}], "tenant"))
    why = "project: Select a valid choice. That choice is not one of the available choices."
    assert foreign == nowhere == ("error", [why, "project: Choose the project."])
    assert everything() == before


def test_what_an_organization_itself_and_its_keys_may_use_is_not_for_owners(owner_client: Client, own: dict[str, Any]):
    organization, key = own["organizations.Organization"], own["api_keys.ApiKey"]
    wide = RateLimit.objects.create(organization=organization, max_requests_per_1_minute=5)
    of_key = RateLimit.objects.create(organization=organization, api_key=key, max_requests_per_1_minute=5)
    more = {"max_requests_per_1_minute": 50}
    table = [
        {"id": wide.public_id, **more},
        {"api_key": key.public_id, **more},
        more,
        {"api_key": key.public_id, "model": "other", **more},
        {"project": own["projects.Project"].public_id, **more},
    ]
    before = everything()
    told_of = told(upload(owner_client, "quotas.RateLimit", table, "tenant"))
    assert [what for what, _ in told_of] == ["error"] * 5
    assert [lines[0][:45] for _, lines in told_of] == [
        "It cannot be changed, or not by you (max_requ",
        "It cannot be changed, or not by you (max_requ",
        "project: Choose the project.",
        "api_key: It cannot be set. Leave it empty for",
        "max_requests_per_1_minute: The organization h",
    ]
    assert everything() == before
    assert of_key.max_requests_per_1_minute == 5


def test_nobody_invites_to_more_than_it_has(own: dict[str, Any]):
    client = member(own["organizations.Organization"], "admin")
    before = everything()
    table = [{"email": "a@example.com", "role": "owner"}, {"email": "b@example.com", "role": "member"}]
    told_of = told(upload(client, "organizations.Invite", table, "tenant"))
    assert [what for what, _ in told_of] == ["error", "create"]
    assert told_of[0][1] == ["role: You cannot invite to the role 'owner': it has rights that you lack."]
    assert everything() == before


def test_without_the_right_there_is_no_import(own: dict[str, Any]):
    rights = ("organization.read", "organization.write", "projects.read", "invites.read", "rate_limits.read")
    client = member(own["organizations.Organization"], "member", *rights)
    before = everything()
    for label in LABELS:
        listed = client.get(address(label, "changelist", site="tenant"))
        assert (listed.status_code, b'href="import/"' in listed.content) == (200, False)
        assert client.get(address(label, site="tenant")).status_code == 403
        assert upload(client, label, [{"id": ""}], "tenant").status_code == 403
    assert everything() == before


def test_a_preview_is_confirmed_where_it_was_made(owner_client: Client, own: dict[str, Any], owner: User):
    preview = upload(owner_client, "projects.Project", [{"name": "Here"}], "tenant")
    other = Organization.objects.of(owner.pk).get(is_personal=True)
    owner_client.post(reverse("tenant:choose"), {"organization": other.public_id})
    before = everything()
    answer = confirm(owner_client, "projects.Project", preview, "tenant")
    assert (answer.status_code, answer.url) == (302, address("projects.Project", site="tenant"))
    assert everything() == before


def test_an_export_of_operators_tells_its_owner_which_column_is_too_many(owner_client: Client, own: dict[str, Any]):
    listed = json.loads(exported(owner_client, "projects.Project", "json", "tenant"))
    assert "organization" not in listed[0]
    table = [{**listed[0], "organization": own["organizations.Organization"].public_id}]
    assert refusal(upload(owner_client, "projects.Project", table, "tenant")).startswith("Row 1: unknown column")


@pytest.mark.parametrize("label", LABELS)
def test_a_stranger_is_sent_away(client: Client, own: dict[str, Any], theirs: dict[str, Any], label: str):
    before = everything()
    assert client.get(address(label, site="tenant")).status_code == 302
    assert upload(client, label, [{"id": theirs[label].public_id}], "tenant").status_code == 302
    assert everything() == before
