"""Whose credentials open a person's settings."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.api_keys.tokens import KeyKind
from apps.organizations.roles import READING, Role, Scope
from apps.user_settings.models import UserSettings
from tests.api_keys.conftest import Caller, join
from tests.projects.conftest import refused
from tests.user_settings.conftest import DEFAULTS, SETTINGS, having, without_ids

OTHERS = [kind for kind in KeyKind if kind is not KeyKind.USER]


def test_a_personal_key_is_as_good_as_a_token(ada: Caller):
    key = ada.with_key()
    assert key.call("PATCH", SETTINGS, {"enable_tools": False}).json()["user_id"] == ada.user.pk
    assert without_ids(ada.call("GET", SETTINGS)) == having(enable_tools=False)
    assert without_ids(key.call("GET", SETTINGS)) == having(enable_tools=False)


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
@pytest.mark.parametrize("kind", OTHERS)
def test_a_key_of_another_kind_is_told_which_to_use(ada: Caller, kind: KeyKind, method: str):
    answer = ada.with_key(kind=kind).call(method, SETTINGS, {"enable_tools": False} if method != "GET" else None)
    assert refused(answer) == (403, "wrong_key_kind", None)
    assert answer.json()["error"]["message"] == (
        f"Settings are a person's, and a key of kind '{kind}' is not. Use an access token or a personal key (sk_…)."
    )
    assert not UserSettings.objects.exists()


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_key_that_only_reads_changes_nothing(ada: Caller, method: str):
    key = ada.with_key(scopes={Scope.MODELS_READ, Scope.API_KEYS_READ} & READING)
    assert refused(key.call(method, SETTINGS, {"enable_tools": False})) == (403, "insufficient_permissions", None)
    assert without_ids(key.call("GET", SETTINGS)) == DEFAULTS
    assert not UserSettings.objects.exists()


def test_a_key_that_calls_models_may_change_them(ada: Caller):
    key = ada.with_key(scopes={Scope.INFERENCE})
    assert without_ids(key.call("PATCH", SETTINGS, {"enable_trace": True})) == having(enable_trace=True)


def test_they_are_the_same_in_every_organization(ada: Caller, eve: Caller):
    join(ada.user, eve.organization, Role.VIEWER)
    there = {"OpenAI_Organization": eve.organization.public_id}
    ada.call("PATCH", SETTINGS, {"enable_trace": True}, **there)
    assert without_ids(ada.call("GET", SETTINGS)) == having(enable_trace=True)
    assert without_ids(ada.call("GET", SETTINGS, **there)) == having(enable_trace=True)
    assert without_ids(eve.call("GET", SETTINGS)) == DEFAULTS


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_nobody_is_refused(db: None, method: str):
    answer = Client().generic(method, SETTINGS, b"{}", content_type="application/json")
    assert refused(answer) == (401, "missing_credentials", None)


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_other_methods_are_not_taken(ada: Caller, method: str):
    assert refused(ada.call(method, SETTINGS, {})) == (405, "method_not_allowed", None)
