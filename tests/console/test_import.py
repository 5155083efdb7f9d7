"""Files into lists: previewed, confirmed, and then all rows or none."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.catalog.models import Model, Provider, ProviderKind, Route
from apps.organizations.models import Invite, Organization
from apps.projects.models import Project, ProjectMembership, default_project
from apps.quotas.models import RateLimit
from apps.ratelimit.accounts import admit
from tests.console.importing import KINDS, LABELS, address, confirm, everything, exported, refusal, told, upload
from tests.console.test_admin import fill
from tests.console.test_staff import staff


@pytest.fixture
def rows(db: None) -> dict[str, Any]:
    return fill(1)


@pytest.fixture
def acme(rows: dict[str, Any]) -> Organization:
    """An organization with owners: nobody is invited to own a personal one."""
    organization: Organization = rows["organizations.Organization"]
    Organization.objects.filter(pk=organization.pk).update(is_personal=False)
    return organization


def as_csv(*lines: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("label", LABELS)
def test_what_was_exported_changes_nothing_when_it_is_imported(admin_client: Client, label: str, kind: str):
    for number in (1, 2):
        fill(number)
    Project.objects.filter(is_default=True).update(
        name="=1+1,\n'\"; \r\n\tü ",
        description="'@x",
        settings={"allowed_models": ["a, b", "=c\nd"], "storage": "none"},
    )
    Model.objects.update(supported_parameters={"names": ["top_p"], "default": {"top_p": 0.5}}, capabilities=["chat"])
    before, count = everything(), KINDS[label].objects.count()
    preview = upload(admin_client, label, exported(admin_client, label, kind))
    assert told(preview) == [("unchanged", [])] * count
    assert preview.context["token"] == ""
    assert everything() == before


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_an_edited_export_changes_what_was_edited(admin_client: Client, acme: Organization, kind: str):
    project = default_project(acme.pk)
    Project.objects.filter(pk=project.pk).update(settings={"retention_days": 30, "allowed_models": ["a"]})
    text = exported(admin_client, "projects.Project", kind)
    if kind == "csv":
        header, *lines = csv.reader(io.StringIO(text))
        edited = [dict(zip(header, line, strict=True)) for line in lines]
    else:
        edited = json.loads(text)
    [mine] = [each for each in edited if each["id"] == project.public_id]
    mine |= {"name": "Apollo", "allowed_models": '["a", "b"]' if kind == "csv" else ["a", "b"]}
    mine["retention_days"] = "" if kind == "csv" else None
    table = as_csv(list(mine), *(list(each.values()) for each in edited)) if kind == "csv" else edited
    before = everything()
    preview = upload(admin_client, "projects.Project", table)
    lines = ["name: Default project → Apollo", 'allowed_models: ["a"] → ["a", "b"]', "retention_days: 30 → nothing"]
    assert sorted(told(preview))[-1] == ("update", lines)
    assert everything() == before
    answer = confirm(admin_client, "projects.Project", preview)
    assert (answer.status_code, answer.url) == (302, address("projects.Project", "changelist"))
    project.refresh_from_db()
    assert (project.name, project.settings) == ("Apollo", {"allowed_models": ["a", "b"]})
    event = AuditEvent.objects.get(action="project.updated")
    assert event.details == {
        "name": ["Default project", "Apollo"],
        "settings": [{"retention_days": 30, "allowed_models": ["a"]}, {"allowed_models": ["a", "b"]}],
    }


def test_new_projects_are_made_by_the_service(admin_client: Client, acme: Organization, operator: User):
    table = [
        {"name": "One", "organization": acme.public_id, "retention_days": 7, "denied_models": ["x"]},
        {"name": "Two", "organization": acme.public_id, "description": "second", "storage": "metadata"},
    ]
    preview = upload(admin_client, "projects.Project", table)
    assert told(preview) == [
        ("create", ["name: One", f"organization: {acme.public_id}", "retention_days: 7", 'denied_models: ["x"]']),
        ("create", ["name: Two", f"organization: {acme.public_id}", "description: second", "storage: metadata"]),
    ]
    assert not Project.objects.filter(name__in=["One", "Two"]).exists()
    assert confirm(admin_client, "projects.Project", preview).status_code == 302
    made = Project.objects.filter(name__in=["One", "Two"]).order_by("name")
    assert list(made.values_list("name", "organization", "description", "settings", "created_by")) == [
        ("One", acme.pk, "", {"retention_days": 7, "denied_models": ["x"]}, operator.pk),
        ("Two", acme.pk, "second", {"storage": "metadata"}, operator.pk),
    ]
    events = AuditEvent.objects.filter(action="project.created", actor_id=operator.pk)
    assert sorted(events.values_list("target_id", flat=True)) == sorted(project.public_id for project in made)


@pytest.mark.django_db(transaction=True)
def test_invites_are_mailed_when_confirmed_and_not_before(admin_client: Client):
    organization = fill(1)["organizations.Organization"]
    table = as_csv(
        ["email", "organization", "role", "days"], ["Grace@Example.com", organization.public_id, "member", 3]
    )
    before = everything()
    for _ in range(6):  # more often than such mails are sent
        preview = upload(admin_client, "organizations.Invite", table)
        [(what, _)] = told(preview)
        assert (what, mail.outbox, everything()) == ("create", [], before)
    confirm(admin_client, "organizations.Invite", preview)
    invite = Invite.objects.get(email="grace@example.com")
    assert (invite.role, invite.state, invite.life.days) == ("member", "pending", 3)
    assert [message.to for message in mail.outbox] == [["grace@example.com"]]
    assert AuditEvent.objects.filter(action="invite.sent", target_id=invite.public_id).count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_address_mailed_too_often_keeps_all_from_being_mailed(admin_client: Client):
    organization = fill(1)["organizations.Organization"]
    offer = {"organization": organization.public_id, "role": "member"}
    table = [{"email": "a@example.com", **offer}, {"email": "b@example.com", **offer}]
    preview = upload(admin_client, "organizations.Invite", table)
    for _ in range(5):
        admit("invite_mail", "b@example.com")
    before = everything()
    answer = confirm(admin_client, "organizations.Invite", preview)
    (first, _), (second, [why]) = told(answer)
    assert (first, second, why.startswith("Rate limit")) == ("create", "error", True)
    assert (answer.context["token"], mail.outbox, everything()) == ("", [], before)


def test_limits_are_found_by_what_they_are_for(admin_client: Client, rows: dict[str, Any]):
    limits: RateLimit = rows["quotas.RateLimit"]
    assert limits.project is not None
    place = {"organization": limits.organization.public_id, "project": limits.project.public_id}
    table = [
        {**place, "model": "m1", "max_requests_per_1_minute": 9},
        {**place, "model": "m2", "max_tokens_per_1_minute": 1000},
        {"organization": place["organization"], "max_requests_per_1_day": 10**12},
    ]
    preview = upload(admin_client, "quotas.RateLimit", table)
    assert [what for what, _ in told(preview)] == ["update", "create", "create"]
    assert told(preview)[0][1] == ["max_requests_per_1_minute: nothing → 9"]
    confirm(admin_client, "quotas.RateLimit", preview)
    found = RateLimit.objects.in_organization(limits.organization_id).order_by("pk")
    assert [(row.project_id, row.model, tuple(row.amounts)) for row in found] == [
        (limits.project_id, "m1", (9, 5, None)),
        (limits.project_id, "m2", (None, None, 1000)),
        (None, "", (None, 10**12, None)),
    ]
    assert AuditEvent.objects.filter(action="rate_limit.updated").count() == 3


def test_models_are_audited_and_decide_about_the_demo(admin_client: Client, rows: dict[str, Any]):
    demo = Provider.objects.create(name="demo", kind=ProviderKind.DEMO, is_active=True)
    platform = Provider.objects.create(name="all", kind=ProviderKind.VLLM, base_url="http://vllm:8000/v1")
    model = Model.objects.create(model_id="big", is_active=False)
    Route.objects.create(model=model, provider=platform, upstream_model="big")
    changed = {"id": model.public_id, "is_active": True, "capabilities": ["chat", "tools"], "context_length": 4096}
    table = [changed, {"model_id": "new", "is_active": False, "supported_parameters": {"names": ["seed"]}}]
    preview = upload(admin_client, "catalog.Model", table)
    assert told(preview) == [
        (
            "update",
            ["is_active: false → true", 'capabilities: nothing → ["chat", "tools"]', "context_length: nothing → 4096"],
        ),
        ("create", ["model_id: new", 'supported_parameters: {"names": ["seed"]}']),
    ]
    demo.refresh_from_db()
    assert demo.is_active
    confirm(admin_client, "catalog.Model", preview)
    demo.refresh_from_db()
    assert not demo.is_active
    made = Model.objects.get(model_id="new")
    assert (made.is_active, made.supported_parameters) == (False, {"names": ["seed"]})
    event = AuditEvent.objects.get(action="model.updated", target_id=model.public_id)
    assert event.details["is_active"] == [False, True]
    assert AuditEvent.objects.filter(action="model.created", target_id=made.public_id).exists()


def test_one_wrong_row_refuses_all(admin_client: Client, acme: Organization):
    table = as_csv(
        ["name", "organization", "retention_days", "storage"],
        ["Good", acme.public_id, "", ""],
        ["", acme.public_id, "soon", ""],
        ["Three", acme.public_id, "0", "all"],
        ["Four", "org_000000000000000000000000", "", ""],
        ["Five", acme.public_id],
    )
    before = everything()
    preview = upload(admin_client, "projects.Project", table)
    assert [outcome.number for outcome in preview.context["outcomes"]] == [2, 3, 4, 5, 6]
    assert told(preview) == [
        ("create", ["name: Good", f"organization: {acme.public_id}"]),
        ("error", ["retention_days: It must be a whole number."]),
        (
            "error",
            [
                "retention_days: Ensure this value is greater than or equal to 1.",
                "storage: Select a valid choice. all is not one of the available choices.",
            ],
        ),
        ("error", ["organization: Select a valid choice. That choice is not one of the available choices."]),
        ("error", ["It has 2 cells, the header has 4."]),
    ]
    assert preview.context["token"] == ""
    assert "Nothing was imported" in preview.content.decode()
    assert everything() == before


def test_what_a_service_refuses_is_said_with_its_column(admin_client: Client, acme: Organization):
    invite = Invite.objects.in_organization(acme.pk).get()
    limits = [
        {"email": invite.email, "organization": acme.public_id, "role": "member"},
        {"email": "user1@example.com", "organization": acme.public_id, "role": "emperor"},
        {"email": "nobody", "organization": acme.public_id, "role": "member"},
        {"email": "a@example.com", "organization": acme.public_id, "role": "member"},
        {"email": "A@example.com", "organization": acme.public_id, "role": "viewer"},
        {"id": invite.public_id, "role": "owner"},
        {"id": "inv_000000000000000000000000"},
        {"id": invite.public_id},
    ]
    before = everything()
    problems = [lines for what, lines in told(upload(admin_client, "organizations.Invite", limits)) if what == "error"]
    pending = "email: This address has a pending invite. Send that one again, or revoke it first."
    assert problems == [
        [pending],
        ["role: Select a valid choice. emperor is not one of the available choices."],
        ["email: Enter a valid email address."],
        [pending],
        ["It cannot be changed, or not by you (role)."],
        ["id: There is no such row. Leave it empty for a new one."],
        ["Row 6 is about the same one."],
    ]
    assert everything() == before


def test_what_never_changes_is_refused(admin_client: Client, rows: dict[str, Any]):
    project: Project = rows["projects.Project"]
    fact = {"id": project.public_id, "organization": "org_0", "is_default": False, "name": "x"}
    [(what, lines)] = told(upload(admin_client, "projects.Project", [fact]))
    why = "and cannot be changed. Leave it so, or leave the column out."
    assert (what, lines) == (
        "error",
        [f"organization: It is {project.organization.public_id} {why}", f"is_default: It is true {why}"],
    )
    new = {"name": "x", "organization": project.organization.public_id, "status": "archived"}
    [(what, lines)] = told(upload(admin_client, "projects.Project", [new]))
    assert (what, lines) == ("error", ["status: It cannot be set. Leave it empty for a new row."])


@pytest.mark.parametrize(
    ("permissions", "told_of"),
    [
        (["add_project"], ["create", "error", "unchanged"]),
        (["change_project"], ["error", "update", "unchanged"]),
        (["add_project", "change_project"], ["create", "update", "unchanged"]),
    ],
)
def test_staff_import_what_they_may_add_and_change(
    rows: dict[str, Any], acme: Organization, permissions: list[str], told_of: list[str]
):
    client, other = staff("view_project", *permissions), fill(2)["projects.Project"]
    table = [
        {"name": "New", "organization": acme.public_id},
        {"id": rows["projects.Project"].public_id, "name": "Changed"},
        {"id": other.public_id, "name": other.name},
    ]
    before = everything()
    preview = upload(client, "projects.Project", table)
    assert [what for what, _ in told(preview)] == told_of
    assert everything() == before


def test_whoever_may_only_look_imports_nothing(client: Client, rows: dict[str, Any]):
    looker = staff("view_project")
    page = looker.get(address("projects.Project", "changelist")).content.decode()
    assert 'href="import/"' not in page
    assert looker.get(address("projects.Project")).status_code == 403
    assert upload(looker, "projects.Project", [{"name": "x"}]).status_code == 403
    assert looker.post(address("projects.Project"), {"confirmed": "x"}).status_code == 403
    assert client.get(address("projects.Project")).status_code == 302


def test_the_rights_are_asked_again_when_it_is_confirmed(rows: dict[str, Any], acme: Organization):
    client = staff("view_project", "add_project", "change_project")
    preview = upload(client, "projects.Project", [{"name": "New", "organization": acme.public_id}])
    operator = User.objects.get(email="staff@example.com")
    role = operator.groups.get()
    role.permissions.remove(role.permissions.get(codename="add_project"))
    before = everything()
    answer = confirm(client, "projects.Project", preview)
    assert told(answer) == [("error", ["You may not add any."])]
    assert everything() == before


def test_what_comes_out_otherwise_than_shown_is_shown_again(admin_client: Client, rows: dict[str, Any]):
    project: Project = rows["projects.Project"]
    preview = upload(admin_client, "projects.Project", [{"id": project.public_id, "name": "Apollo"}])
    Project.objects.filter(pk=project.pk).update(name="Renamed meanwhile")
    before = everything()
    again = confirm(admin_client, "projects.Project", preview)
    assert told(again) == [("update", ["name: Renamed meanwhile → Apollo"])]
    assert "Nothing was imported." in again.content.decode()
    assert everything() == before
    assert confirm(admin_client, "projects.Project", again).status_code == 302
    assert Project.objects.get(pk=project.pk).name == "Apollo"


def test_a_preview_is_confirmed_once(admin_client: Client, acme: Organization):
    preview = upload(admin_client, "projects.Project", [{"name": "Once", "organization": acme.public_id}])
    assert [confirm(admin_client, "projects.Project", preview).status_code for _ in range(3)] == [302, 302, 302]
    assert Project.objects.filter(name="Once").count() == 1


def test_a_preview_is_its_users_and_its_lists(admin_client: Client, acme: Organization):
    preview = upload(admin_client, "projects.Project", [{"name": "Mine", "organization": acme.public_id}])
    other, token = staff("view_project", "add_project", "add_model"), preview.context["token"]
    before = everything()
    for client, label, given in (
        (other, "projects.Project", token),
        (admin_client, "catalog.Model", token),
        (admin_client, "projects.Project", token[:-1] + ("A" if token[-1] != "A" else "B")),
        (admin_client, "projects.Project", "\x00"),
        (admin_client, "projects.Project", ""),
    ):
        answer = client.post(address(label), {"confirmed": given})
        assert (answer.status_code, answer.url) == (302, address(label))
    assert everything() == before


def test_an_archived_project_is_only_read(admin_client: Client, acme: Organization):
    project = Project.objects.create(organization=acme, name="Old", archived_at=acme.created_at)
    place = {"organization": acme.public_id, "project": project.public_id}
    [renamed] = told(upload(admin_client, "projects.Project", [{"id": project.public_id, "name": "New"}]))
    assert renamed == ("error", ["It cannot be changed, or not by you (name)."])
    RateLimit.objects.create(organization=acme, project=project, model="m", max_requests_per_1_day=5)
    assert told(upload(admin_client, "quotas.RateLimit", [{**place, "model": "m", "max_requests_per_1_day": 5}])) == [
        ("unchanged", [])
    ]


def test_a_creator_who_is_a_member_owns_what_it_imports(admin_client: Client, operator: User):
    own = Organization.objects.of(operator.pk).get(is_personal=True)
    preview = upload(admin_client, "projects.Project", [{"name": "Mine", "organization": own.public_id}])
    confirm(admin_client, "projects.Project", preview)
    place = ProjectMembership.objects.get(project__name="Mine")
    assert (place.membership.user_id, place.role) == (operator.pk, "owner")


def test_the_page_and_the_list_lead_to_each_other(admin_client: Client, rows: dict[str, Any]):
    for label in LABELS:
        page = admin_client.get(address(label, "changelist")).content.decode()
        assert 'href="import/"' in page
        form = admin_client.get(address(label)).content.decode()
        assert 'enctype="multipart/form-data"' in form
    assert 'href="import/"' not in admin_client.get(address("organizations.Group", "changelist")).content.decode()


def test_no_file_is_no_import(admin_client: Client):
    assert refusal(admin_client.post(address("projects.Project"), {"x": "y"})) == "This field is required."
    assert refusal(upload(admin_client, "projects.Project", b"")) == "The submitted file is empty."
