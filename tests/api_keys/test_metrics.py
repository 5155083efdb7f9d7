"""Who may read the figures of the whole platform."""

from __future__ import annotations

import pytest

from apps.accounts.models import User
from apps.api_keys.tokens import KeyKind
from apps.organizations.roles import Scope
from tests.api_keys.conftest import Caller
from tests.api_keys.test_personal_keys import refusal

METRICS = "/metrics"


@pytest.fixture
def operator(ada: Caller) -> Caller:
    User.objects.get_queryset().filter(pk=ada.user.pk).update(is_staff=True)
    return ada


def test_an_operator_reads_them_with_a_token_or_a_personal_key_of_all_rights(operator: Caller):
    for caller in (operator, operator.with_key()):
        answer = caller.call("GET", METRICS)
        assert (answer.status_code, b"jan_requests_open" in answer.content) == (200, True)


@pytest.mark.parametrize(
    ("kind", "scopes"),
    [
        (KeyKind.PROJECT, None),
        (KeyKind.PROJECT, {Scope.MODELS_READ}),
        (KeyKind.USER, {Scope.MODELS_READ}),
        (KeyKind.USER, {Scope.INFERENCE, Scope.MODELS_READ}),
    ],
)
def test_an_operators_lesser_keys_do_not_open_them(operator: Caller, kind: KeyKind, scopes: set[Scope] | None):
    answer = operator.with_key(kind=kind, scopes=scopes).call("GET", METRICS)
    assert refusal(answer) == (403, "operator_required", None)


def test_nobody_else_reads_them(ada: Caller, guest: Caller):
    for caller in (ada, ada.with_key(), guest):
        assert refusal(caller.call("GET", METRICS)) == (403, "operator_required", None)
