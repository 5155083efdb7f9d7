"""What allauth's page of addresses did, for the audit log."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_added, email_changed, email_removed
from django.dispatch import receiver

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.audit.services import Action, record


@receiver(email_added)
def _added(user: User, email_address: EmailAddress, **_: Any) -> None:
    _record(user, email_added=email_address.email)


@receiver(email_removed)
def _removed(user: User, email_address: EmailAddress, **_: Any) -> None:
    _record(user, email_removed=email_address.email)


@receiver(email_changed)
def _changed(user: User, from_email_address: EmailAddress | None, to_email_address: EmailAddress, **_: Any) -> None:
    before = from_email_address.email if from_email_address is not None else None
    _record(user, email=[before, to_email_address.email])


def _record(user: User, **details: Any) -> None:
    record(Action.USER_UPDATED, actor=actor_of(user), target_kind="user", target_id=user.pk, **details)
