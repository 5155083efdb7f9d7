"""What is sensitive asks who it is first, and loses no form on the way."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.catalog.models import Provider
from apps.projects.models import Project, default_project
from tests.console.conftest import SIGN_IN, prove

ADD_KEY = "/admin/api_keys/apikey/add/"
ADD_PROVIDER = "/admin/catalog/provider/add/"
CONFIRM = "/accounts/reauthenticate/"
PASSWORD = "correct-horse-9"
CREDENTIAL = "sk-upstream-secret-1234"


@pytest.fixture
def stale(operator: User) -> Client:
    """An operator's browser that signed in six minutes ago."""
    client = Client()
    client.force_login(operator, backend=SIGN_IN)
    prove(client, operator, seconds_ago=360)
    return client


@pytest.fixture
def project(person: User) -> Project:
    return default_project(person.memberships.get().organization_id)


def key_form(project: Project, person: User) -> dict[str, Any]:
    return {"kind": "project", "name": "CI", "project": project.pk, "user": person.pk, "scopes": ["inference"]}


def provider_form(**changes: str) -> dict[str, str]:
    form = {"name": "Upstream", "kind": "custom", "base_url": "http://127.0.0.1:9/v1", "is_active": "on"}
    return {**form, "credential": CREDENTIAL, **changes}


def confirm(client: Client, path: str, password: str = PASSWORD) -> Any:
    return client.post(CONFIRM, {"password": password, "next": path})


def asks(path: str) -> str:
    return f"{CONFIRM}?next={quote(path, safe='')}"


def test_making_a_key_asks_first(stale: Client):
    answer = stale.get(ADD_KEY)
    assert (answer.status_code, answer["Location"]) == (302, asks(ADD_KEY))
    assert confirm(stale, ADD_KEY, "wrong").status_code == 200
    assert stale.get(ADD_KEY).status_code == 302
    assert confirm(stale, ADD_KEY)["Location"] == ADD_KEY
    assert stale.get(ADD_KEY).status_code == 200


def test_having_just_signed_in_is_enough(admin_client: Client):
    assert admin_client.get(ADD_KEY).status_code == 200


def test_a_key_form_that_came_too_late_is_asked_for_and_kept(stale: Client, project: Project, person: User):
    answer = stale.post(ADD_KEY, key_form(project, person))
    assert (answer["Location"], ApiKey.objects.count()) == (asks(ADD_KEY), 0)
    shown = confirm(stale, ADD_KEY)
    assert (shown.status_code, ApiKey.objects.get().name) == (200, "CI")
    assert ApiKey.objects.get_queryset().for_token(shown.context["token"]) is not None
    assert "'unsafe-eval'" in shown["Content-Security-Policy"]  # the page is the admin's


def test_a_provider_form_that_came_too_late_is_kept_sealed(stale: Client):
    answer = stale.post(ADD_PROVIDER, provider_form())
    assert (answer["Location"], Provider.objects.count()) == (asks(ADD_PROVIDER), 0)
    assert CREDENTIAL not in str([row.get_decoded() for row in Session.objects.all()])
    assert confirm(stale, ADD_PROVIDER).status_code == 302
    assert Provider.objects.get().credential == CREDENTIAL


def test_a_provider_without_a_credential_is_not_asked_about(stale: Client):
    assert stale.get(ADD_PROVIDER).status_code == 200
    assert stale.post(ADD_PROVIDER, provider_form(credential=""))["Location"] == "/admin/catalog/provider/"
    assert Provider.objects.get().credential == ""


@pytest.mark.parametrize("field", ["credential", "forget_credential"])
def test_changing_a_credential_asks_first(stale: Client, field: str):
    provider = Provider(name="Upstream", kind="custom", base_url="http://127.0.0.1:9/v1")
    provider.credential = CREDENTIAL
    provider.save()
    path = f"/admin/catalog/provider/{provider.pk}/change/"
    form = provider_form(**{"credential": "", field: "sk-another-secret-5678"})
    assert stale.get(path).status_code == 200
    assert stale.post(path, form)["Location"] == asks(path)
    assert Provider.objects.get().credential == CREDENTIAL
    assert confirm(stale, path).status_code == 302
    assert Provider.objects.get().credential == ("sk-another-secret-5678" if field == "credential" else "")


def test_a_kept_form_is_forgotten_when_something_else_is_wanted(stale: Client, project: Project, person: User):
    stale.post(ADD_KEY, key_form(project, person))
    assert confirm(stale, "/admin/")["Location"] == "/admin/"
    confirm(stale, ADD_KEY)
    assert ApiKey.objects.count() == 0


def test_a_kept_form_is_forgotten_after_a_while(stale: Client, project: Project, person: User):
    stale.post(ADD_KEY, key_form(project, person))
    session = stale.session
    session["account_reauthentication_state"]["state"]["at"] -= 601
    session.save()
    assert confirm(stale, ADD_KEY)["Location"] == ADD_KEY
    assert ApiKey.objects.count() == 0


def test_a_kept_form_belongs_to_whoever_posted_it(stale: Client, project: Project, person: User):
    stale.post(ADD_KEY, key_form(project, person))
    other = User.objects.create_superuser("other@example.com", PASSWORD)
    stale.force_login(other, backend=SIGN_IN)
    assert confirm(stale, ADD_KEY)["Location"] == ADD_KEY
    assert ApiKey.objects.count() == 0
