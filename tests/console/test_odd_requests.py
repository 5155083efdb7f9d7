"""Requests of the admin that no page of it makes: each has an answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.console.tenant.lists import site as owners_site
from apps.organizations.models import Membership
from tests.console.conftest import SIGN_IN, prove
from tests.console.test_admin import REGISTERED, address, fill
from tests.console.test_staff import staff

ODD = ["owner", "1.5", "9" * 40, "-1", "٣", "{}", "a\x00b", ""]
CHOSEN = [
    (site.name, model, name)
    for site in (admin.site, owners_site)
    for model, list_admin in site._registry.items()
    for name in list_admin.get_autocomplete_fields(None)  # type: ignore[arg-type]
]


@pytest.mark.parametrize("value", ODD)
def test_an_odd_choice_is_a_mistake_in_the_form(admin_client: Client, value: str):
    before = Membership.objects.count()
    posted = {"organization": value, "user": value, "role": "owner"}
    answer = admin_client.post(address("organizations.Membership", "add"), posted)
    assert (answer.status_code, set(answer.context["adminform"].form.errors)) == (200, {"organization", "user"})
    assert Membership.objects.count() == before


@pytest.mark.parametrize(("site", "model", "name"), CHOSEN, ids=str)
def test_every_choice_and_every_search_for_one_takes_odd_values(db: None, site: str, model: Any, name: str):
    rows = fill(1)
    client, user = Client(), rows["accounts.User"]
    if site == "admin":
        user = User.objects.create_superuser("op@example.com", "correct-horse-9")
    client.force_login(user, backend=SIGN_IN)
    prove(client, user)
    place = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": name}
    add = reverse(f"{site}:{model._meta.app_label}_{model._meta.model_name}_add")
    for value in ODD:
        assert client.post(add, {name: value}).status_code in (200, 403), value
        assert client.get(add, {name: value}).status_code in (200, 403), value
        found = client.get(reverse(f"{site}:autocomplete"), {**place, "term": value})
        assert found.status_code == 200, value


def test_a_search_for_a_provider_is_in_order(admin_client: Client):
    fill(1)
    place = {"app_label": "catalog", "model_name": "route", "field_name": "provider", "term": "provider"}
    found = admin_client.get("/admin/autocomplete/", place).json()["results"]
    assert [each["text"] for each in found] == ["provider 1"]


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("enable", {"is_active": (False, True)}),
        ("disable", {"is_active": (True, False)}),
        ("sign-out", {}),
        ("require-password-change", {"must_change_password": (False, True)}),
        ("reset-mfa", {}),
    ],
)
def test_an_answer_posted_to_a_users_page_is_obeyed_and_leads_back(
    admin_client: Client, person: User, what: str, changes: dict[str, tuple[bool, bool]]
):
    users = User.objects.get_queryset().filter(pk=person.pk)
    users.update(**{name: before for name, (before, _) in changes.items()})
    answer = admin_client.post(f"/admin/accounts/user/{quote(person.pk)}/{what}/", {"confirmed": "yes"})
    assert (answer.status_code, answer["Location"]) == (302, address("accounts.User", "change", person.pk))
    assert users.values(*changes).get() == {name: after for name, (_, after) in changes.items()} or not changes


def test_an_id_is_found_in_either_spelling(admin_client: Client):
    user = User.objects.create_user("ada@example.com", "analytical-engine-1", id="user_40abcdefghijklmnopqrstuv")
    for spelled in (user.pk, quote(user.pk)):
        assert admin_client.get(f"/admin/accounts/user/{spelled}/act-as/")["Location"] == f"/admin/act-as/{user.pk}/"


@pytest.mark.parametrize("label", REGISTERED)
def test_what_is_done_to_one_row_always_answers(admin_client: Client, label: str):
    row = fill(1)[label]
    listed = next(each for model, each in admin.site._registry.items() if model._meta.label == label)
    actions = [each for each in listed.actions_detail if isinstance(each, str)]
    urls = [address(label, name, row.pk) for name in actions]
    assert [admin_client.post(url, {"confirmed": "yes"}).status_code < 500 for url in urls] == [True] * len(urls)


@pytest.mark.parametrize("label", REGISTERED)
def test_a_history_says_nothing_of_what_there_is_to_who_may_not_look(db: None, label: str):
    client, row = staff(), fill(1)[label]
    answers = [client.get(address(label, "history", pk)) for pk in (row.pk, "99999999")]
    assert [answer.status_code for answer in answers] == [403, 403]
