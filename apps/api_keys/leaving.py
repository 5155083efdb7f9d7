"""What becomes of somebody's keys when it leaves an organization (`ORGANIZATIONS_OFFBOARDER`)."""

from __future__ import annotations

from apps.api_keys.models import ApiKey
from apps.api_keys.services import revoke_keys_of
from apps.audit.services import Actor
from apps.organizations.models import Membership


def end_keys_of(*, membership: Membership, actor: Actor, account_ends: bool) -> None:
    """Revoke all of a member's keys in its organization; personal ones are removed when the account goes too."""
    revoke_keys_of(membership=membership, actor=actor)
    if account_ends:
        keys = ApiKey.objects.in_organization(membership.organization_id).personal(membership.user_id)
        keys.delete()
