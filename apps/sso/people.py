"""
Who somebody is that a provider vouches for.

A provider's `sub` is a person (allauth's SocialAccount). Meeting one for the first time, an account
is joined to it only if its e-mail address is verified on both sides; operators' accounts never are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.addresses import normalised
from apps.accounts.invitations import SignUp
from apps.accounts.models import Invitation, User
from apps.accounts.sessions import actor_of
from apps.accounts.tokens import invalid_token
from apps.audit.services import SYSTEM, Action, record
from apps.core.errors import Conflict, Forbidden
from apps.organizations.members import leave, take_predefined
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import Role
from apps.sso.models import CLAIMED_ROLES, IdentityProvider, SSODomain, domain_of

MAX_EMAIL, MAX_KEPT = 254, 500
# What is kept of the claims, to say on pages whose account it is.
_KEPT_CLAIMS = ("sub", "email", "name", "preferred_username", "picture")


@dataclass(frozen=True)
class Profile:
    """What a provider says of somebody. `email` is empty unless the provider verified it, or its word is enough."""

    subject: str
    email: str
    name: str
    claims: dict[str, Any]

    @property
    def kept(self) -> dict[str, Any]:
        texts = {name: self.claims[name] for name in _KEPT_CLAIMS if isinstance(self.claims.get(name), str)}
        texts |= {"email": self.email} if self.email else {}
        return {name: text.replace("\x00", " ")[:MAX_KEPT] for name, text in texts.items()}


def profile_of(provider: IdentityProvider, claims: dict[str, Any]) -> Profile:
    """Read verified claims as the provider's mapping says."""
    email = claim_at(claims, provider.email_claim)
    email = _address_in(email) if isinstance(email, str) else ""
    is_believed = claims.get("email_verified") is True or provider.trusts_email
    name = claim_at(claims, provider.name_claim)
    name = " ".join(name.replace("\x00", " ").split())[:150] if isinstance(name, str) else ""
    return Profile(str(claims["sub"]), email if is_believed else "", name, claims)


def _address_in(text: str) -> str:
    try:
        email = normalised(text)
    except ValidationError:
        return ""
    return email if len(email) <= MAX_EMAIL else ""


def claim_at(claims: dict[str, Any], path: str) -> Any:
    """Return what stands at a path such as `realm_access.roles`, None if nothing does. Names may hold dots as well."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


# --- Rules --------------------------------------------------------------------------------------


def known_user(provider: IdentityProvider, subject: str) -> User | None:
    """Return the user that this person is already connected to."""
    account = SocialAccount.objects.select_related("user").filter(provider=provider.slug, uid=subject).first()
    user: User | None = account.user if account else None
    return user


def user_to_join(email: str) -> User | None:
    """Return the account that an address the provider verified belongs to, if it is verified here as well."""
    address = EmailAddress.objects.select_related("user").filter(email=email, verified=True).first()
    if not email or address is None or address.user.is_staff or not address.user.is_active:
        return None
    user: User = address.user
    return user


def is_taken(email: str) -> bool:
    """Say whether some account has this address, or claims it."""
    users = User.objects.get_queryset()
    return EmailAddress.objects.filter(email=email).exists() or users.filter(email=email).exists()


def rules_for(user: User) -> list[SSODomain]:
    """
    Return the rules that bind somebody to a provider, that of the account's own address first.

    Each address proven here counts, and what a rule's provider itself says the address is: who adds
    a private one is still one of the domain's people.
    """
    proven = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    domains = {domain_of(email) for email in (user.email or "", *proven)}
    accounts = SocialAccount.objects.filter(user=user).values_list("provider", "extra_data")
    said = {(slug, domain_of(str(kept.get("email", "")))) for slug, kept in accounts if isinstance(kept, dict)}
    rules = SSODomain.objects.in_force().filter(domain__in=domains | {domain for _, domain in said})
    binding = [rule for rule in rules if rule.domain in domains or (rule.provider.slug, rule.domain) in said]
    return sorted(binding, key=lambda rule: rule.domain != domain_of(user.email or ""))


def refuse_other_provider(provider: IdentityProvider, user: User) -> None:
    """Raise Forbidden (`sso_required`) if the user is bound to providers, and this is none of them."""
    rules = rules_for(user)
    if rules and provider.pk not in {rule.provider_id for rule in rules}:
        raise sso_required(rules[0])


def refuse_foreign_provider(provider: IdentityProvider, email: str) -> None:
    """Raise Forbidden (`sso_required`) if the address has to sign in with another provider."""
    rule = SSODomain.objects.requiring(email)
    if rule is not None and rule.provider_id != provider.pk:
        raise sso_required(rule)


def sso_required(rule: SSODomain) -> Forbidden:
    """Return the refusal of an address that has to sign in with a provider."""
    return Forbidden(
        f"People of {rule.domain} sign in with {rule.provider.name}.",
        code="sso_required",
        details={"provider": rule.provider.slug},
    )


def check_welcome(provider: IdentityProvider, profile: Profile, *, may_sign_up: bool) -> User | None:
    """
    Return the account that signs in, None if one may be made. Changes nothing.

    Raises Forbidden (`email_not_verified`, `sso_required`, `signup_closed`, `account_disabled`) or
    Conflict (`account_exists`).
    """
    user = known_user(provider, profile.subject)
    if user is not None:
        refuse_other_provider(provider, user)
        if not user.is_active:
            raise Forbidden("This account is disabled.", code="account_disabled")
        return user
    if not profile.email:
        raise Forbidden(
            f"{provider.name} has not verified your e-mail address. Verify it there; or sign in here in another way "
            f"and connect {provider.name} to your account.",
            code="email_not_verified",
        )
    refuse_foreign_provider(provider, profile.email)
    if (user := user_to_join(profile.email)) is not None:
        refuse_other_provider(provider, user)
        return user
    if is_taken(profile.email):
        raise Conflict(
            f"There already is an account with this e-mail address. Sign in to it first, then connect {provider.name}.",
            code="account_exists",
        )
    if not (may_sign_up or _is_expected(provider, profile.email)):
        raise Forbidden("Nobody may sign up here without an invitation.", code="signup_closed")
    return None


def _is_expected(provider: IdentityProvider, email: str) -> bool:
    """The people of a domain that has to use this provider count as invited."""
    rule = SSODomain.objects.requiring(email)
    return settings.SIGNUP == SignUp.INVITATION and rule is not None and rule.provider_id == provider.pk


# --- What happens -------------------------------------------------------------------------------


def welcome(provider: IdentityProvider, profile: Profile, *, may_sign_up: bool) -> User:
    """Return the account of somebody who signs in, joined or made if need be. Raises as `check_welcome`."""

    def meet() -> User:
        user = check_welcome(provider, profile, may_sign_up=may_sign_up)
        if user is None:
            user = _make_user(provider, profile, email=profile.email)
        _connect(provider, profile, user)
        keep_membership(provider, user, profile.claims)
        return user

    return _first_or_second(meet)


def user_of_token(provider: IdentityProvider, profile: Profile) -> User:
    """
    Return the account of somebody whose access token was sent; made at first sight.

    Raises Unauthenticated if it is disabled or has to use another provider.
    """
    try:
        user = known_user(provider, profile.subject) or _first_or_second(lambda: _meet(provider, profile))
        refuse_other_provider(provider, user)
    except Forbidden:
        raise invalid_token() from None
    if not user.is_active:
        raise invalid_token()
    keep_membership(provider, user, profile.claims)
    return user


def _meet(provider: IdentityProvider, profile: Profile) -> User:
    """Somebody whose address is not proven on both sides, or is another provider's to prove, has none here."""
    rule = SSODomain.objects.requiring(profile.email)
    is_ours = rule is None or rule.provider_id == provider.pk
    user = known_user(provider, profile.subject) or (user_to_join(profile.email) if is_ours else None)
    if user is not None:
        refuse_other_provider(provider, user)
    else:
        email = profile.email if is_ours and not is_taken(profile.email) else ""
        user = _make_user(provider, profile, email=email)
    _connect(provider, profile, user)
    return user


def _first_or_second(meet: Callable[[], User]) -> User:
    """Two requests may meet the same person at once; the one that comes second finds what the first made."""
    try:
        with transaction.atomic():
            return meet()
    except IntegrityError:
        with transaction.atomic():
            return meet()


def _make_user(provider: IdentityProvider, profile: Profile, *, email: str) -> User:
    user = User(email=email or None, name=profile.name, last_seen_at=timezone.now())
    user.set_unusable_password()
    user.save()
    if email:
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        Invitation.objects.settle(email)
    record(Action.USER_ADDED, actor=SYSTEM, target_kind="user", target_id=user.pk, provider=provider.slug)
    return user


def _connect(provider: IdentityProvider, profile: Profile, user: User) -> None:
    own = SocialAccount.objects.filter(provider=provider.slug, uid=profile.subject, user=user)
    if not own.update(extra_data=profile.kept, last_login=timezone.now()):
        SocialAccount.objects.create(provider=provider.slug, uid=profile.subject, user=user, extra_data=profile.kept)
        record_connection(provider, user)


def record_connection(provider: IdentityProvider, user: User) -> None:
    """Write down that a user can sign in with a provider from now on."""
    record(
        Action.IDENTITY_CONNECTED, actor=actor_of(user), target_kind="user", target_id=user.pk, provider=provider.slug
    )


@transaction.atomic
def keep_membership(provider: IdentityProvider, user: User, claims: dict[str, Any]) -> None:
    """
    Bring a user's place in the provider's organization in line with the claims.

    With a role claim the claims decide, so a role that is gone ends the membership and its keys. Owners
    stay: claims neither make nor end them.
    """
    wanted = _claimed_role(provider, claims)
    if provider.organization_id is None or _stays(provider, _membership(provider, user), wanted):
        return
    # The lock makes handing the organization on take its turn: who becomes an owner meanwhile stays one.
    present = Organization.objects.present().select_for_update(no_key=True)
    organization = present.filter(pk=provider.organization_id).first()
    found = _membership(provider, user)
    if organization is None or _stays(provider, found, wanted):
        return
    if wanted is None:
        if found is not None:
            leave(membership=found, actor=SYSTEM, provider=provider.slug)
        return
    told: dict[str, Any] = {"role": wanted}
    if found is None:
        Membership.objects.create(user=user, organization=organization, role=wanted)
        action = Action.USER_ADDED
    else:
        Membership.objects.filter(pk=found.pk).update(role=wanted)
        action, told = Action.USER_UPDATED, {"role": [found.role, wanted], **take_predefined(found)}
    record(
        action,
        actor=SYSTEM,
        organization=organization.public_id,
        target_kind="user",
        target_id=user.pk,
        provider=provider.slug,
        **told,
    )


def _membership(provider: IdentityProvider, user: User) -> Membership | None:
    found = Membership.objects.filter(user=user, organization=provider.organization_id)
    membership: Membership | None = found.select_related("organization").first()
    return membership


def _stays(provider: IdentityProvider, found: Membership | None, wanted: Role | None) -> bool:
    """Say whether a user's place is what the claims want, or none of their business."""
    if found is None:
        return wanted is None
    return not provider.role_claim or found.role in (Role.OWNER, wanted)


def _claimed_role(provider: IdentityProvider, claims: dict[str, Any]) -> Role | None:
    """Return the highest role that the claims name; everybody is a member where no claim is asked."""
    if not provider.role_claim:
        return Role.MEMBER
    stated = claim_at(claims, provider.role_claim)
    names = stated if isinstance(stated, list) else [stated]
    mapped = {provider.roles.get(name) for name in names if isinstance(name, str)}
    return next((role for role in CLAIMED_ROLES if role in mapped), None)
