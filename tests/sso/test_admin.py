"""Identity providers and domains in the operators' admin."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.core.epoch import current_epoch
from apps.sso.models import IdentityProvider, SSODomain
from tests.sso.conftest import add_provider, add_user

ADD = reverse("admin:sso_identityprovider_add")
FORM: dict[str, Any] = {
    "name": "Acme",
    "slug": "acme",
    "kind": "oidc",
    "issuer": "https://id.acme.com/realms/jan",
    "discovery_url": "",
    "jwks_url": "",
    "is_enabled": "on",
    "client_id": "jan",
    "client_secret": "acme-client-secret-0001",
    "scopes": "openid email profile",
    "callback_url": "",
    "audiences": '["jan"]',
    "email_claim": "email",
    "name_claim": "name",
    "organization": "",
    "role_claim": "",
    "roles": "{}",
}


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("op@example.com", "correct-horse-9", name="Operator")


@pytest.fixture
def admin_client(operator: User) -> Client:
    client = Client()
    client.force_login(operator, backend="apps.accounts.backends.ProvenAddressBackend")
    return client


def change(row: IdentityProvider) -> str:
    return reverse("admin:sso_identityprovider_change", args=[row.pk])


def actions() -> list[str]:
    kinds = ("identity_provider", "sso_domain")
    return list(AuditEvent.objects.filter(target_kind__in=kinds).order_by("id").values_list("action", flat=True))


def test_a_provider_is_added_and_its_secret_never_shown(admin_client: Client, operator: User):
    assert admin_client.post(ADD, FORM).status_code == 302
    row = IdentityProvider.objects.get()
    assert (row.slug, row.client_secret, row.audiences) == ("acme", "acme-client-secret-0001", ["jan"])
    pages = [
        admin_client.get(url).content.decode()
        for url in (change(row), reverse("admin:sso_identityprovider_changelist"))
    ]
    assert all(secret not in page for page in pages for secret in ("acme-client-secret", row.sealed_client_secret))
    assert "/accounts/sso/acme/callback/" in pages[0]
    event = AuditEvent.objects.get(action="identity_provider.created")
    assert (event.actor_id, event.target_id) == (operator.pk, row.public_id)
    assert "acme-client-secret" not in str(event.details)


def test_an_empty_secret_keeps_the_stored_one_until_it_is_forgotten(admin_client: Client):
    admin_client.post(ADD, FORM)
    row = IdentityProvider.objects.get()
    kept = {**FORM, "client_secret": "", "name": "Acme Corp."}
    assert admin_client.post(change(row), kept).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.client_secret) == ("Acme Corp.", "acme-client-secret-0001")
    admin_client.post(change(row), {**kept, "forget_client_secret": "on"})
    row.refresh_from_db()
    assert row.client_secret == ""
    assert actions() == ["identity_provider.created"] + ["identity_provider.updated"] * 2


def test_the_stored_secret_is_not_sent_where_another_document_says(admin_client: Client):
    admin_client.post(ADD, FORM)
    row = IdentityProvider.objects.get()
    moved = {**FORM, "client_secret": "", "discovery_url": "https://attacker.test/.well-known/openid-configuration"}
    answer = admin_client.post(change(row), moved)
    assert "Give it again" in answer.content.decode()
    row.refresh_from_db()
    assert row.discovery_url == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "Acme"), ("slug", "_sso"), ("slug", "a/b"), ("kind", "saml"), ("issuer", "ftp://x"), ("issuer", "https://u:p@x"),
        ("jwks_url", "javascript:1"), ("audiences", '"jan"'), ("audiences", "[5]"), ("roles", '{"a": "owner"}'),
        ("roles", '["a"]'), ("roles", '{"a": ["admin"]}'), ("email_claim", "a..b"), ("role_claim", " "), ("client_id", ""),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(admin_client: Client, field: str, value: str):
    wrong = {**FORM, field: value, "accepts_access_tokens": "on"}
    if field == "client_id":
        wrong["audiences"] = "[]"
    if field == "role_claim":
        wrong["role_claim"] = "a b"
    assert admin_client.post(ADD, wrong).status_code == 200
    assert not IdentityProvider.objects.exists()


def test_two_providers_do_not_vouch_for_tokens_of_one_issuer(admin_client: Client):
    taking = {**FORM, "accepts_access_tokens": "on"}
    admin_client.post(ADD, taking)
    assert admin_client.post(ADD, {**taking, "slug": "again"}).status_code == 200
    assert IdentityProvider.objects.count() == 1


def test_slug_and_issuer_stay_what_they_are(admin_client: Client):
    admin_client.post(ADD, FORM)
    row = IdentityProvider.objects.get()
    admin_client.post(change(row), {**FORM, "slug": "other", "issuer": "https://attacker.test"})
    row.refresh_from_db()
    assert (row.slug, row.issuer) == ("acme", FORM["issuer"])


@pytest.mark.django_db(transaction=True)
def test_disabling_is_heard_by_every_process(admin_client: Client):
    row = add_provider("https://id.acme.com")
    before = current_epoch()
    answer = admin_client.post(
        reverse("admin:sso_identityprovider_changelist"), {"action": "disable", "_selected_action": [row.pk]}
    )
    assert answer.status_code == 302
    row.refresh_from_db()
    assert (row.is_enabled, current_epoch() > before) == (False, True)


def test_a_deleted_providers_slug_says_nothing_about_anybody(admin_client: Client):
    row = add_provider("https://id.acme.com", slug="acme")
    ada = add_user("ada@example.com")
    SocialAccount.objects.create(user=ada, provider="acme", uid="u-1")
    SocialAccount.objects.create(user=ada, provider="other", uid="u-1")
    answer = admin_client.post(reverse("admin:sso_identityprovider_delete", args=[row.pk]), {"post": "yes"})
    assert answer.status_code == 302
    assert list(SocialAccount.objects.values_list("provider", flat=True)) == ["other"]
    assert User.objects.filter(pk=ada.pk).exists()
    assert actions() == ["identity_provider.deleted"]


def test_a_domain_is_added_changed_and_deleted(admin_client: Client, operator: User):
    row = add_provider("https://id.acme.com")
    organization = operator.memberships.get().organization
    form = {"domain": "acme.com", "organization": organization.pk, "provider": row.pk, "is_required": "on"}
    assert admin_client.post(reverse("admin:sso_ssodomain_add"), form).status_code == 302
    domain = SSODomain.objects.get()
    admin_client.post(reverse("admin:sso_ssodomain_change", args=[domain.pk]), {**form, "is_required": ""})
    domain.refresh_from_db()
    assert domain.is_required is False
    admin_client.post(reverse("admin:sso_ssodomain_delete", args=[domain.pk]), {"post": "yes"})
    assert actions() == ["sso_domain.created", "sso_domain.updated", "sso_domain.deleted"]
    assert AuditEvent.objects.in_organization(organization.public_id).filter(target_kind="sso_domain").count() == 3


@pytest.mark.parametrize("domain", ["Acme.com", "acme", "@acme.com", "a..com", "acme.com/", "-a.com", "a b.com", ""])
def test_what_is_no_domain_is_refused(admin_client: Client, operator: User, domain: str):
    row = add_provider("https://id.acme.com")
    organization = operator.memberships.get().organization
    form = {"domain": domain, "organization": organization.pk, "provider": row.pk, "is_required": "on"}
    assert admin_client.post(reverse("admin:sso_ssodomain_add"), form).status_code == 200
    assert not SSODomain.objects.exists()
