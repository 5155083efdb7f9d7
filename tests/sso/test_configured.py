"""Providers that the environment names."""

from __future__ import annotations

import pytest
from allauth.socialaccount.models import SocialAccount

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.sso.configured import register_from_environment
from apps.sso.models import IdentityProvider

KEYCLOAK = "http://keycloak:8085"
CERTS = f"{KEYCLOAK}/realms/jan/protocol/openid-connect/certs"


def oidc_row() -> IdentityProvider:
    return IdentityProvider.objects.get(slug="oidc")


def test_nothing_named_makes_nothing(db):
    assert register_from_environment() == []
    assert not IdentityProvider.objects.exists()


def test_google(db, settings):
    settings.GOOGLE_CLIENT_ID, settings.GOOGLE_CLIENT_SECRET = "id-1", "secret-1"
    settings.GOOGLE_REDIRECT_URL = "http://localhost:8080/auth/google/callback"
    assert register_from_environment() == []
    row = IdentityProvider.objects.get()
    assert (row.slug, row.kind, row.name, row.issuer) == ("google", "google", "Google", "https://accounts.google.com")
    assert (row.client_id, row.client_secret, row.callback_url) == ("id-1", "secret-1", settings.GOOGLE_REDIRECT_URL)
    assert row.accepts_access_tokens is False


@pytest.mark.parametrize(
    ("given", "issuer", "discovery"),
    [
        ({"OIDC_ISSUER": "https://id.acme.com"}, "https://id.acme.com", "https://id.acme.com/.well-known/openid-configuration"),
        (
            {"KEYCLOAK_BASE_URL": KEYCLOAK},
            f"{KEYCLOAK}/realms/jan",
            f"{KEYCLOAK}/realms/jan/.well-known/openid-configuration",
        ),
        (
            {"KEYCLOAK_BASE_URL": KEYCLOAK, "KEYCLOAK_REALM": "acme"},
            f"{KEYCLOAK}/realms/acme",
            f"{KEYCLOAK}/realms/acme/.well-known/openid-configuration",
        ),
        (
            {"KEYCLOAK_BASE_URL": KEYCLOAK, "OIDC_ISSUER": "http://localhost:8085/realms/jan"},
            "http://localhost:8085/realms/jan",
            f"{KEYCLOAK}/realms/jan/.well-known/openid-configuration",
        ),
        (
            {"OIDC_DISCOVERY_URL": "https://id.acme.com/x/.well-known/openid-configuration"},
            "https://id.acme.com/x",
            "https://id.acme.com/x/.well-known/openid-configuration",
        ),
    ],
)  # fmt: skip
def test_an_issuer_by_any_of_its_names(db, settings, given, issuer, discovery):
    for name, value in given.items():
        setattr(settings, name, value)
    settings.OIDC_CLIENT_ID = "jan"
    assert register_from_environment() == []
    row = oidc_row()
    assert (row.issuer, row.metadata_url, row.accepts_access_tokens) == (issuer, discovery, True)
    assert row.accepted_audiences == ["jan"]


def test_the_seeds_keycloak_for_tokens_only(db, settings):
    settings.KEYCLOAK_BASE_URL, settings.JWKS_URL, settings.OIDC_AUDIENCES = KEYCLOAK, CERTS, ["jan", "account"]
    assert register_from_environment() == []
    row = oidc_row()
    assert (row.name, row.jwks_url, row.client_id, row.accepted_audiences) == (
        "Keycloak",
        CERTS,
        "",
        ["jan", "account"],
    )
    assert not IdentityProvider.objects.for_sign_in().exists()


def test_without_an_audience_no_token_is_taken(db, settings):
    settings.OIDC_ISSUER = "https://id.acme.com"
    register_from_environment()
    assert oidc_row().accepts_access_tokens is False


def test_another_start_changes_what_the_environment_changed_and_nothing_else(db, settings):
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "https://id.acme.com", "jan", "one"
    register_from_environment()
    IdentityProvider.objects.update(name="Acme", is_enabled=False, role_claim="roles")
    register_from_environment()
    assert AuditEvent.objects.count() == 1
    settings.OIDC_CLIENT_SECRET = "two"
    register_from_environment()
    row = oidc_row()
    assert (row.client_secret, row.name, row.is_enabled, row.role_claim) == ("two", "Acme", False, "roles")
    event = AuditEvent.objects.get(action="identity_provider.updated")
    assert (event.actor_kind, event.details) == ("system", {"slug": "oidc", "fields": ["client_secret"]})


@pytest.mark.parametrize("name", ["OIDC_ISSUER", "KEYCLOAK_BASE_URL", "OIDC_DISCOVERY_URL"])
def test_another_issuer_gets_nobodys_account(db, settings, name):
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "https://id.acme.com", "jan", "one"
    register_from_environment()
    before = IdentityProvider.objects.values().get()
    ada = User.objects.create_user("ada@example.com")
    SocialAccount.objects.create(user=ada, provider="oidc", uid="1001")
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_SECRET = "", "two"
    setattr(settings, name, "https://elsewhere.example/.well-known/openid-configuration")
    warning, *others = register_from_environment()
    assert warning.startswith(
        "Identity provider 'oidc': NOT CHANGED. The environment names the issuer https://elsewhere"
    )
    assert "1 account(s) are connected to https://id.acme.com" in warning
    assert "Restore the old issuer in the environment, or delete the provider in the admin" in warning
    assert (others, IdentityProvider.objects.values().get()) == ([], before)
    assert not AuditEvent.objects.filter(action="identity_provider.updated").exists()


def test_another_issuer_replaces_one_that_nobody_is_connected_to(db, settings):
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "https://id.acme.com", "jan"
    register_from_environment()
    SocialAccount.objects.create(user=User.objects.create_user("ada@example.com"), provider="google", uid="1001")
    settings.OIDC_ISSUER = "https://elsewhere.example"
    assert register_from_environment() == []
    assert oidc_row().issuer == "https://elsewhere.example"


def test_a_secret_that_no_longer_opens_is_replaced(db, settings):
    settings.GOOGLE_CLIENT_ID, settings.GOOGLE_CLIENT_SECRET = "id-1", "secret-1"
    register_from_environment()
    IdentityProvider.objects.update(public_id="idp_000000000000000000000000")
    register_from_environment()
    assert IdentityProvider.objects.get().client_secret == "secret-1"


def test_an_address_that_is_none_is_a_warning(db, settings):
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "keycloak:8085", "jan"
    assert [text.partition(":")[0] for text in register_from_environment()] == ["Identity provider 'oidc'"]
    assert not IdentityProvider.objects.exists()


def test_an_issuer_that_another_row_vouches_for_is_a_warning(db, settings):
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "https://id.acme.com", "jan"
    IdentityProvider.objects.create(
        slug="acme", name="Acme", kind="oidc", issuer="https://id.acme.com", accepts_access_tokens=True
    )
    assert len(register_from_environment()) == 1
    assert IdentityProvider.objects.count() == 1
