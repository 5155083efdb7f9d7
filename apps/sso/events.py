"""What allauth's connections page did, for the audit log."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.signals import social_account_added, social_account_removed
from django.dispatch import receiver

from apps.accounts.sessions import actor_of
from apps.audit.services import Action, record
from apps.sso.people import record_connection


@receiver(social_account_added)
def _added(sociallogin: SocialLogin, **_: Any) -> None:
    record_connection(sociallogin.provider.row, sociallogin.user)


@receiver(social_account_removed)
def _removed(socialaccount: SocialAccount, **_: Any) -> None:
    user = socialaccount.user
    facts = {"target_kind": "user", "target_id": user.pk, "provider": socialaccount.provider}
    record(Action.IDENTITY_DISCONNECTED, actor=actor_of(user), **facts)
