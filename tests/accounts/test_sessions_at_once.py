"""What changes a user's sessions at once, on PostgreSQL: one after the other, and nothing fails halfway."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import RequestFactory

from apps.accounts import people
from apps.accounts.models import RefreshTokenFamily, User
from apps.accounts.services import log_in_guest, upgrade_guest
from apps.accounts.sessions import actor_of, issue_tokens, log_out, refresh_tokens, sign_out_everywhere
from apps.accounts.tokens import verify_access_token
from apps.core.epoch import raise_epoch
from apps.core.errors import Conflict, Unauthenticated
from apps.projects import services
from apps.projects.services import purge_guests

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 6
REFUSED = (Unauthenticated, Conflict, SessionInterrupted)


@pytest.fixture(autouse=True)
def _not_the_very_first_change(transactional_db: None) -> None:
    raise_epoch()


def request() -> Any:
    made = RequestFactory().post("/")
    made.session, made.user = {}, None
    return made


def at_once(*calls: Callable[[], object]) -> list[type[Exception] | None]:
    """Run calls in threads; returns how each was refused. Anything but a refusal fails the test."""

    def run(call: Callable[[], object]) -> type[Exception] | None:
        try:
            call()
        except REFUSED as refusal:
            return type(refusal)
        finally:
            connections.close_all()
        return None

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def refresh_for_long(token: str) -> Callable[[], object]:
    def run() -> None:
        newest = token
        for _ in range(20):
            newest = refresh_tokens(newest)["refresh_token"]

    return run


@pytest.mark.parametrize("end", ["disable", "sign_out_everywhere"])
def test_whoever_keeps_refreshing_is_shut_out_all_the_same(end: str):
    operator = User.objects.create_superuser("op@example.com", "correct-horse-9")
    for number in range(ROUNDS):
        user = User.objects.create_user(f"ada{number}@example.com", "analytical-engine-1")
        sessions = [issue_tokens(request(), user) for _ in range(3)]
        ends = {
            "disable": lambda user=user: people.disable(user=user, actor=actor_of(operator)),
            "sign_out_everywhere": lambda user=user: sign_out_everywhere(user=user, actor=actor_of(operator)),
        }
        refused = at_once(
            *(refresh_for_long(session["refresh_token"]) for session in sessions),
            lambda sessions=sessions: log_out(sessions[0]["access_token"]),
            ends[end],
        )
        assert refused[-1] is None
        user.refresh_from_db()
        assert user.is_active is (end != "disable")
        assert not RefreshTokenFamily.objects.filter(user=user).exists()
    assert not Session.objects.exists()


def test_an_upgrade_beside_a_logout_is_whole_or_refused():
    for number in range(ROUNDS):
        guest, tokens = log_in_guest(request())
        token = verify_access_token(tokens["access_token"])
        email = f"ada{number}@example.com"

        def upgrade(token: Any = token, email: str = email) -> None:
            upgrade_guest(guest=token.user, session=token.session, email=email, password="engine-no-1!")

        refused = at_once(
            upgrade,
            lambda tokens=tokens: log_out(tokens["access_token"]),
            refresh_for_long(tokens["refresh_token"]),
        )
        guest.refresh_from_db()
        is_upgraded = refused[0] is None
        assert (guest.is_guest, guest.has_usable_password()) == (not is_upgraded, is_upgraded)
        assert EmailAddress.objects.filter(user=guest, email=email).exists() is is_upgraded


def test_a_guest_that_came_back_since_it_was_listed_stays(monkeypatch: pytest.MonkeyPatch, settings: Any):
    settings.GUEST_HOURS = -1  # everybody is silent for long enough
    guests = [log_in_guest(request())[0] for _ in range(2)]
    delete = services.delete_account

    def delete_while_the_other_upgrades(*, user: User, **words: Any) -> None:
        other = next(guest for guest in guests if guest.pk != user.pk)
        at_once(lambda: User.objects.get_queryset().filter(pk=other.pk).update(is_guest=False))
        delete(user=user, **words)

    monkeypatch.setattr(services, "delete_account", delete_while_the_other_upgrades)
    assert purge_guests() == 1
    assert [user.is_guest for user in User.objects.all()] == [False]
