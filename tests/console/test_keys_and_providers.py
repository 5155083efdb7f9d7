"""What operators do with keys and providers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind, is_well_formed
from apps.catalog.models import Model, ModelAlias, Provider, ProviderKind, Route
from apps.organizations.models import Membership
from apps.projects.models import Project
from tests.provider import Provider as Upstream

KEYS, PROVIDERS = "/admin/api_keys/apikey/", "/admin/catalog/provider/"


@pytest.fixture
def project(person: User) -> Project:
    return Project.objects.get(organization=Membership.objects.get(user=person).organization)


def key_form(project: Project, user: User, **changes: Any) -> dict[str, Any]:
    form = {"kind": "project", "name": "Build", "project": project.pk, "user": user.pk, "scopes": ["inference"]}
    return {**form, **changes}


def test_a_new_key_is_shown_once_and_only_its_digest_is_kept(admin_client: Client, person: User, project: Project):
    answer = admin_client.post(f"{KEYS}add/", key_form(project, person))
    page = answer.content.decode()
    token = re.search(r"jan_pk_\w+", page).group()
    key = ApiKey.objects.get()
    assert (answer.status_code, page.count(token), is_well_formed(token)) == (200, 1, True)
    assert "no-store" in answer["Cache-Control"]
    assert ApiKey.objects.get_queryset().for_token(token) == key
    assert (key.scopes, key.organization_id) == (["inference"], project.organization_id)
    assert token not in str(ApiKey.objects.values().get())
    for url in (KEYS, f"{KEYS}{key.pk}/change/", f"{KEYS}{key.pk}/history/"):
        assert token not in admin_client.get(url).content.decode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "expires_at"),
        ({"scopes": ["projects.write"]}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"name": ""}, "name"),
    ],
)
def test_a_wrong_form_makes_no_key(
    admin_client: Client, person: User, project: Project, changes: dict[str, Any], field: str
):
    answer = admin_client.post(f"{KEYS}add/", key_form(project, person, **changes))
    assert (answer.status_code, ApiKey.objects.count()) == (200, 0)
    assert field in answer.context["adminform"].errors


def test_a_user_gets_no_key_to_a_strangers_project(admin_client: Client, operator: User, project: Project):
    answer = admin_client.post(f"{KEYS}add/", key_form(project, operator))
    assert (answer.status_code, ApiKey.objects.count()) == (200, 0)
    assert "user" in answer.context["adminform"].errors


def test_a_keys_facts_do_not_change_and_it_is_not_deleted(admin_client: Client, person: User, project: Project):
    key, _ = create_key(kind=KeyKind.USER, name="Mine", place=project, holder=Holder(person))
    posted = admin_client.post(f"{KEYS}{key.pk}/change/", {"name": "Theirs", "scopes": []})
    deleted = admin_client.post(f"{KEYS}{key.pk}/delete/", {"post": "yes"})
    assert (posted.status_code, deleted.status_code) == (403, 403)
    assert ApiKey.objects.get().name == "Mine"


def test_keys_are_revoked_from_the_list(admin_client: Client, person: User, project: Project):
    key, token = create_key(kind=KeyKind.USER, name="Mine", place=project, holder=Holder(person))
    assert admin_client.post(KEYS, {"action": "revoke", "_selected_action": [key.pk]}).status_code == 302
    assert ApiKey.objects.get().status == "revoked"
    assert ApiKey.objects.get_queryset().for_token(token) is None


def provider_form(**changes: Any) -> dict[str, Any]:
    form = {"name": "Upstream", "kind": "custom", "base_url": "http://vllm:8000/v1", "is_active": "on"}
    return {**form, **changes}


def stored(credential: str = "sk-upstream-secret-1234") -> Provider:
    provider = Provider(name="Upstream", kind=ProviderKind.CUSTOM, base_url="http://vllm:8000/v1")
    provider.credential = credential
    provider.save()
    return provider


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.mark.django_db(transaction=True)
def test_a_new_provider_is_asked_for_its_models(admin_client: Client, provider: Upstream):
    form = provider_form(base_url=provider.base_url, credential="sk-upstream-secret-1234")
    answer = admin_client.post(f"{PROVIDERS}add/", form)
    assert (answer.status_code, Provider.objects.get().credential) == (302, "sk-upstream-secret-1234")
    assert "models added" in said(answer)
    assert not Model.objects.get(model_id="org/plain").is_active


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("word", ["sync_one", "test_one"])
def test_a_provider_that_is_away_says_so_and_is_kept(admin_client: Client, word: str, free_address: str):
    away = stored()
    form = provider_form(base_url=free_address, credential="again-4567890", **{f"catalog_provider_{word}": ""})
    answer = admin_client.post(f"{PROVIDERS}{away.pk}/change/", form)
    assert (answer.status_code, answer.url) == (302, f"{PROVIDERS}{away.pk}/change/")
    assert "cannot be reached" in said(answer)
    assert "again-4567890" not in said(answer)


def test_an_empty_field_keeps_the_credential_and_the_switch_forgets_it(admin_client: Client):
    provider = stored()
    url = f"{PROVIDERS}{provider.pk}/change/"
    assert admin_client.post(url, provider_form(base_url="http://vllm:8000/v2")).status_code == 302
    assert Provider.objects.get().credential == "sk-upstream-secret-1234"
    assert admin_client.post(url, provider_form(forget_credential="on")).status_code == 302
    assert Provider.objects.get().credential == ""


def test_a_stored_credential_is_not_sent_to_another_address(admin_client: Client):
    provider = stored()
    answer = admin_client.post(f"{PROVIDERS}{provider.pk}/change/", provider_form(base_url="http://elsewhere:8000/v1"))
    assert (answer.status_code, Provider.objects.get().base_url) == (200, "http://vllm:8000/v1")
    assert "credential" in answer.context["adminform"].errors


@pytest.mark.parametrize("base_url", ["", "ftp://x/v1", "vllm:8000", "http://user:pw@vllm/v1"])
def test_a_base_url_is_checked(admin_client: Client, base_url: str):
    answer = admin_client.post(f"{PROVIDERS}add/", provider_form(base_url=base_url))
    assert (answer.status_code, Provider.objects.count()) == (200, 0)
    assert "base_url" in answer.context["adminform"].errors


@pytest.mark.parametrize(("verb", "active"), [("disable", False), ("enable", True)])
def test_providers_and_models_are_switched_from_the_list(admin_client: Client, verb: str, active: bool):
    provider, model = stored(), Model.objects.create(model_id="org/plain")
    for url, row in ((PROVIDERS, provider), ("/admin/catalog/model/", model)):
        type(row).objects.filter(pk=row.pk).update(is_active=not active)
        assert admin_client.post(url, {"action": verb, "_selected_action": [row.pk]}).status_code == 302
        row.refresh_from_db()
        assert row.is_active is active


def inline(prefix: str, **fields: Any) -> dict[str, Any]:
    management = {f"{prefix}-TOTAL_FORMS": 1 if fields else 0, f"{prefix}-INITIAL_FORMS": 0}
    return {**management, **{f"{prefix}-0-{name}": value for name, value in fields.items()}}


@pytest.mark.parametrize("page", ["route", "model"])
@pytest.mark.parametrize("is_theirs", [True, False])
def test_a_tenants_provider_serves_only_its_own_models(
    admin_client: Client, project: Project, page: str, is_theirs: bool
):
    provider = stored()
    Provider.objects.filter(pk=provider.pk).update(organization=project.organization)
    owner = project.organization if is_theirs else None
    route = {"provider": provider.pk, "upstream_model": "m", "priority": "100", "is_active": "on"}
    if page == "route":
        model = Model.objects.create(model_id="theirs", organization=owner)
        answer = admin_client.post("/admin/catalog/route/add/", {**route, "model": model.pk})
    else:
        form = {"model_id": "theirs", "organization": owner.pk if owner else "", "supported_parameters": "{}"}
        form = {**form, **inline("routes", **route), **inline("aliases")}
        answer = admin_client.post("/admin/catalog/model/add/", form)
    assert (answer.status_code, Route.objects.count()) == ((302, 1) if is_theirs else (200, 0))


@pytest.mark.parametrize("is_theirs", [True, False])
def test_a_tenants_model_gets_an_alias_only_there(admin_client: Client, project: Project, is_theirs: bool):
    model = Model.objects.create(model_id="theirs", organization=project.organization)
    form = {"alias": "mine", "model": model.pk, "organization": project.organization_id if is_theirs else ""}
    answer = admin_client.post("/admin/catalog/modelalias/add/", form)
    assert (answer.status_code, ModelAlias.objects.count()) == ((302, 1) if is_theirs else (200, 0))
