"""Accounts in the admin, and the sign-in pages."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User

USERS = "/admin/accounts/user/"


def sign_in(client: Client, email: str, password: str) -> int:
    return client.post("/accounts/login/", {"login": email, "password": password}).status_code


def change(client: Client, user: User, **fields: str) -> int:
    values = {"email": user.email or "", "username": "", "name": "", "is_active": "on", **fields}
    answer = client.post(f"{USERS}{user.pk}/change/", {name: value for name, value in values.items() if value})
    return answer.status_code


def test_a_new_account_can_sign_in_and_has_a_tenant(admin_client: Client):
    form = {"email": "Grace@Example.com", "password1": "correct-horse-9", "password2": "correct-horse-9"}
    assert admin_client.post(f"{USERS}add/", form).status_code == 302
    grace = User.objects.get(email="grace@example.com")
    assert grace.memberships.count() == 1
    assert not grace.is_superuser
    assert sign_in(Client(), "grace@example.com", "correct-horse-9") == 302


@pytest.mark.parametrize("email", ["", "ADA@example.com", "no-address"])
def test_an_account_needs_an_address_of_its_own(admin_client: Client, person: User, email: str):
    form = {"email": email, "password1": "correct-horse-9", "password2": "correct-horse-9"}
    answer = admin_client.post(f"{USERS}add/", form)
    assert (answer.status_code, User.objects.count()) == (200, 2)
    assert "email" in answer.context["adminform"].errors


def test_after_a_change_of_address_the_old_one_no_longer_signs_in(admin_client: Client, person: User):
    EmailAddress.objects.create(user=person, email="ada@example.com", primary=True, verified=True)
    assert change(admin_client, person, email="countess@example.com") == 302
    assert sign_in(Client(), "ada@example.com", "analytical-engine-1") == 200
    assert sign_in(Client(), "countess@example.com", "analytical-engine-1") == 302


def test_an_operator_is_made_and_unmade(admin_client: Client, person: User):
    assert change(admin_client, person, is_staff="on") == 302
    person.refresh_from_db()
    assert (person.is_staff, person.is_superuser) == (True, True)
    assert change(admin_client, person) == 302
    person.refresh_from_db()
    assert (person.is_staff, person.is_superuser) == (False, False)


def test_nobody_shuts_themselves_out(admin_client: Client, operator: User):
    assert change(admin_client, operator, is_active="") == 302
    chosen = {"action": "disable", "_selected_action": [operator.pk]}
    assert admin_client.post(USERS, chosen).status_code == 302
    operator.refresh_from_db()
    assert (operator.is_active, operator.is_staff, operator.is_superuser) == (True, True, True)


@pytest.mark.parametrize(("verb", "active"), [("disable", False), ("enable", True)])
def test_accounts_are_disabled_and_enabled_from_the_list(admin_client: Client, person: User, verb: str, active: bool):
    User.objects.get_queryset().filter(pk=person.pk).update(is_active=not active)
    admin_client.post(USERS, {"action": verb, "_selected_action": [person.pk]})
    person.refresh_from_db()
    assert person.is_active is active


def test_an_operator_sets_a_password(admin_client: Client, person: User):
    form = {"password1": "a-new-engine-22", "password2": "a-new-engine-22", "usable_password": "true"}
    assert admin_client.post(f"{USERS}{person.pk}/password/", form).status_code == 302
    assert sign_in(Client(), "ada@example.com", "a-new-engine-22") == 302


@pytest.mark.parametrize("name", ["account_login", "account_reset_password", "account_signup", "account_inactive"])
def test_pages_for_strangers_open_under_the_strict_policy(client: Client, db: None, name: str):
    answer = client.get(reverse(name))
    assert answer.status_code == 200
    assert b"console/page.css" in answer.content
    assert "unsafe" not in answer["Content-Security-Policy"]


def test_nobody_signs_up(client: Client, db: None):
    form = {"email": "me@example.com", "password1": "correct-horse-9", "password2": "correct-horse-9"}
    client.post(reverse("account_signup"), form)
    assert not User.objects.get_queryset().exists()


@pytest.mark.parametrize(
    "name",
    ["account_logout", "account_change_password", "account_email", "usersessions_list"],
)
def test_pages_for_people_open_in_the_same_look(admin_client: Client, name: str):
    answer = admin_client.get(reverse(name), follow=True)
    assert answer.status_code == 200
    assert b"console/page.css" in answer.content


def test_guessing_a_password_is_stopped(client: Client, person: User):
    for _ in range(5):
        assert sign_in(client, "ada@example.com", "wrong") == 200
    assert sign_in(client, "ada@example.com", "analytical-engine-1") == 200
    assert not client.session.get("_auth_user_id")


def test_signing_out_needs_a_form(admin_client: Client):
    assert admin_client.get("/accounts/logout/").status_code == 200
    assert admin_client.get("/admin/").status_code == 200
    admin_client.post("/accounts/logout/")
    assert admin_client.get("/admin/").status_code == 302
