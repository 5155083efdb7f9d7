"""The page where people choose which organization to manage, or make one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.organizations.models import Membership, Organization
from apps.projects.models import default_project
from apps.projects.services import create_organization
from tests.console.conftest import SIGN_IN

CHOOSE, MAKE = "/organization/choose/", "/organization/make/"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=SIGN_IN)
    return client


@pytest.fixture
def client(person: User) -> Client:
    return signed_in(person)


@pytest.fixture
def acme(db: None) -> Organization:
    return create_organization(name="Acme", owner=User.objects.create_user("owner@acme.example", "pw"))


def told(answer: Any) -> list[str]:
    """The names on the page, in order, and the words of its buttons."""
    main = answer.text.partition('id="main"')[2]
    return re.findall(r'<div class="font-medium[^"]*">([^<]+)</div>', main)


def test_somebody_makes_an_organization_and_is_led_to_it(client: Client, person: User):
    assert "Make an organization" in client.get(CHOOSE).text
    answer = client.post(MAKE, {"name": " Acme & Sons "}, follow=True)
    made = Organization.objects.get(name="Acme & Sons")
    assert answer.redirect_chain[-1] == (reverse("tenant:organizations_organization_change", args=[made.pk]), 302)
    assert (made.is_personal, made.memberships.get().user, made.memberships.get().role) == (False, person, "owner")
    assert default_project(made.pk) is not None
    event = AuditEvent.objects.get(action="organization.created")
    assert (event.organization, event.actor_id, event.details) == (
        made.public_id,
        person.pk,
        {"name": "Acme & Sons", "owner": person.pk},
    )
    assert told(client.get(CHOOSE)) == ["Ada&#x27;s organization", "Acme &amp; Sons"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("  ", "This field is required."),
        ("x" * 129, "Ensure this value has at most 128 characters (it has 129)."),
        ("a\x00b", "Null characters are not allowed."),
    ],
)
def test_a_name_that_is_wrong_makes_nothing(client: Client, name: str, words: str):
    before = Organization.objects.count()
    answer = client.post(MAKE, {"name": name})
    assert (answer.status_code, answer.context["form"].errors) == (200, {"name": [words]})
    assert words in answer.text
    assert Organization.objects.count() == before


def test_a_member_sees_where_it_belongs_and_its_way_to_keys(client: Client, person: User, acme: Organization):
    Membership.objects.create(user=person, organization=acme, role="member")
    answer = client.get(CHOOSE)
    assert told(answer) == ["Ada&#x27;s organization", "Acme"]
    assert (answer.text.count("Your role there: member"), answer.text.count('href="/accounts/keys/new/"')) == (1, 1)
    assert client.post(CHOOSE, {"organization": acme.public_id}).status_code == 404


def test_who_manages_nothing_is_led_to_its_keys(client: Client, person: User, acme: Organization):
    Membership.objects.filter(user=person).delete()
    Membership.objects.create(user=person, organization=acme, role="viewer")
    answer = client.get("/organization/", follow=True)
    assert answer.redirect_chain[-1] == (CHOOSE, 302)
    assert (answer.status_code, told(answer)) == (200, ["Acme"])
    assert "You manage no organization." in answer.text
    assert 'href="/accounts/keys/"' in answer.text


def test_a_guest_is_not_offered_to_make_one_and_makes_none(db: None):
    guest = User.objects.get(pk=Client().post("/v1/auth/guest-login").json()["user_id"])
    client, before = signed_in(guest), Organization.objects.count()
    page = client.get(CHOOSE)
    assert (page.status_code, MAKE in page.text, 'href="/accounts/email/"' in page.text) == (200, False, True)
    assert client.post(MAKE, {"name": "Acme"}).status_code == 403
    assert Organization.objects.count() == before


def test_looking_makes_nothing_and_nobody_is_asked_to_sign_in(client: Client, db: None):
    before = Organization.objects.count()
    assert client.get(MAKE).url == CHOOSE
    assert Client().post(MAKE, {"name": "Acme"}).url == f"/accounts/login/?next={CHOOSE}"
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(MAKE, {"name": "Acme"}).status_code == 403
    assert Organization.objects.count() == before


def test_an_owner_without_an_address_opens_its_organization(db: None):
    nameless = User.objects.create_user(None, None)
    answer = signed_in(nameless).get("/organization/", follow=True)
    assert (answer.status_code, answer.context["original"].name) == (200, "Personal organization")
