"""Operators who are no superusers: they see and do what their staff roles say."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.organizations.models import Organization
from tests.console.conftest import SIGN_IN, prove
from tests.console.test_admin import REGISTERED, address, fill


def staff(*codenames: str) -> Client:
    """A browser of somebody with a staff role of these permissions."""
    user = User.objects.create_user("staff@example.com", "correct-horse-9", is_staff=True)
    role = Group.objects.create(name="support")
    role.permissions.set(Permission.objects.filter(codename__in=codenames))
    user.groups.add(role)
    client = Client()
    client.force_login(user, backend=SIGN_IN)
    prove(client, user)
    return client


@pytest.mark.parametrize("label", REGISTERED)
def test_without_a_role_nothing_opens(db: None, label: str):
    client, row = staff(), fill(1)[label]
    pages = [address(label, "changelist"), address(label, "change", row.pk), address(label, "history", row.pk)]
    pages.append(address(label, "changelist") + "export/csv/")
    assert [client.get(url).status_code for url in pages] == [403] * len(pages)


def test_without_a_role_nobody_is_named_by_an_id(db: None, person: User):
    answer = staff().get(f"/admin/act-as/{person.pk}/")
    assert answer.status_code == 403
    assert person.email not in answer.content.decode()
    assert person.name not in answer.content.decode()


def test_a_role_to_look_opens_lists_and_changes_nothing(db: None):
    organization = fill(1)["organizations.Organization"]
    client = staff("view_organization")
    assert client.get(address("organizations.Organization", "changelist")).status_code == 200
    page = client.get(address("organizations.Organization", "change", organization.pk))
    assert [tab.title for tab in page.context["place_tabs"]] == ["Overview"]
    for name in ("invite", "transfer", "remove_one"):
        url = reverse(f"admin:organizations_organization_{name}", args=[organization.pk])
        assert client.post(url, {"confirmed": "yes"}).status_code == 403
    assert (
        client.get(reverse("admin:organizations_organization_panel", args=[organization.pk, "people"])).status_code
        == 403
    )
    assert Organization.objects.get(pk=organization.pk).deleted_at is None
    figures = client.get("/admin/").context["figures"]
    assert [figure["title"] for figure in figures] == ["Organizations"]
    menu = client.get("/admin/").context["sidebar_navigation"]
    shown = [item["title"] for group in menu for item in group["items"] if item["has_permission"]]
    assert shown == ["Dashboard", "Organizations"]


def test_who_may_change_users_touches_no_operator_and_makes_none(operator: User, person: User):
    client = staff("view_user", "change_user")
    form = {"email": person.email, "name": "Ada", "is_staff": "on", "is_superuser": "on"}
    assert client.post(address("accounts.User", "change", person.pk), form).status_code == 302
    person.refresh_from_db()
    assert (person.is_staff, person.is_superuser) == (False, False)
    taken = {"email": "taken@example.com", "name": "x"}
    assert client.post(address("accounts.User", "change", operator.pk), taken).status_code == 403
    assert client.post(f"/admin/accounts/user/{operator.pk}/password/", {"password1": "x"}).status_code == 403
    posted = {"action": "disable", "_selected_action": [operator.pk]}
    assert client.post(address("accounts.User", "changelist"), posted).status_code == 403
    operator.refresh_from_db()
    assert (operator.email, operator.is_active) == ("op@example.com", True)


def test_a_superuser_gives_roles_and_the_log_says_so(admin_client: Client, operator: User, person: User):
    role = Group.objects.create(name="support")
    form = {"email": person.email, "is_staff": "on", "groups": [role.pk]}
    assert admin_client.post(address("accounts.User", "change", person.pk), form).status_code == 302
    assert list(person.groups.all()) == [role]
    event = AuditEvent.objects.filter(target_id=person.pk, details__has_key="staff_roles").get()
    assert (event.actor_id, event.details) == (operator.pk, {"staff_roles": [[], ["support"]]})
