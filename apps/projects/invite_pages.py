"""The pages on which somebody answers an invite to an organization."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.invitations import SignUp, may_sign_up, recalled, remember
from apps.accounts.links import Found
from apps.accounts.models import User
from apps.accounts.signed_in import person_of
from apps.core.errors import AppError, Forbidden, NotFound
from apps.core.http.errors import status_of
from apps.organizations.models import Invite, Membership
from apps.organizations.rights import organization_rights
from apps.organizations.roles import Scope
from apps.projects.invites import accept_invite, decline_invite, is_backed, offered
from apps.projects.models import Project, ProjectMembership, default_project
from apps.projects.rights import project_rights


@require_safe
@never_cache
def show(request: HttpRequest) -> HttpResponse:
    """
    Show what an invite offers, and what can be done about it.

    The link's secret is taken out of the address first: the browser's session remembers whose it is.
    """
    if "token" in request.GET:
        found = offered(request.GET["token"])
        if found is None:
            return _invalid(request)
        remember(request, found.row, is_mailed=found.is_mailed)
        return redirect("invite")
    found = _invited(request)
    if found is None:
        return _invalid(request)
    if not isinstance(request.user, User):
        return _to_a_stranger(request, found)
    address = EmailAddress.objects.filter(user=request.user, email=found.row.email).first()
    page = "elsewhere" if address is None else "open" if address.verified else "unconfirmed"
    return render(request, f"projects/invite_{page}.html", _facts(found))


def _to_a_stranger(request: HttpRequest, found: Found) -> HttpResponse:
    """Who holds the mailed link may know whether its address has an account, and who was shown the other may not."""
    is_known = User.objects.get_queryset().proven_by(found.row.email).exists() if found.is_mailed else None
    if is_known is False and settings.SIGNUP == SignUp.CLOSED:
        return render(request, "projects/invite_closed.html", _facts(found), status=403)
    doors = {"can_sign_in": is_known is not False, "can_sign_up": not is_known and may_sign_up(request)}
    return render(request, "projects/invite_stranger.html", {**_facts(found), **doors})


@require_POST
@login_required
def accept(request: HttpRequest) -> HttpResponse:
    """Join. Pressing the button twice leads where pressing it once does."""
    found, user = recalled(request, Invite, is_over=True), person_of(request)
    if found is None:
        return _invalid(request)
    try:
        accept_invite(invite=found.row, user=user)
    except NotFound:
        if not Membership.objects.of(user.pk).in_organization(found.row.organization_id).exists():
            return _invalid(request)
    except AppError as refusal:
        return _invalid(request) if _invited(request) is None else _refused(request, found, refusal)
    return redirect("invite_joined", found.row.organization.public_id)


@require_POST
@login_required
def decline(request: HttpRequest) -> HttpResponse:
    """Do not join."""
    found = _invited(request)
    if found is None:
        return _invalid(request)
    try:
        decline_invite(invite=found.row, user=person_of(request))
    except Forbidden as refusal:
        return _refused(request, found, refusal)
    except NotFound:
        return _invalid(request)
    messages.info(request, f"You declined the invitation to {found.row.organization.name}.")
    return redirect("account_home")


@require_POST
@login_required
def sign_out(request: HttpRequest) -> HttpResponse:
    """Let somebody else answer the invite in this browser."""
    found = _invited(request)
    get_adapter().logout(request)
    if found is None:
        return _invalid(request)
    remember(request, found.row, is_mailed=found.is_mailed)
    return redirect("invite")


@require_safe
@never_cache
@login_required
def joined(request: HttpRequest, org_id: str) -> HttpResponse:
    """Say where somebody is a member now, and what to do next."""
    mine = Membership.objects.of(person_of(request).pk).filter(organization__public_id=org_id)
    membership = mine.first()
    if membership is None:
        return _invalid(request)
    rows = ProjectMembership.objects.in_organization(membership.organization_id).filter(membership=membership)
    places = list(rows.select_related("project").order_by("pk"))
    context = {
        "membership": membership,
        "places": places,
        "project": _first_for_a_key(membership, [place.project for place in places]),
        "manages": Scope.ORGANIZATION_WRITE in organization_rights(membership),
        "base": settings.PUBLIC_URL,
    }
    return render(request, "projects/invite_joined.html", context)


def _first_for_a_key(membership: Membership, projects: list[Project]) -> Project | None:
    """Return where a member can make a key: in one of these, or in the default project."""
    candidates = [*projects, default_project(membership.organization_id)]
    return next((each for each in candidates if Scope.API_KEYS_WRITE in project_rights(membership, each)), None)


def _invited(request: HttpRequest) -> Found | None:
    found = recalled(request, Invite)
    return found if found is not None and is_backed(found.row) else None


def _facts(found: Found) -> dict[str, object]:
    places = found.row.projects.select_related("project").order_by("pk")
    return {"invite": found.row, "organization": found.row.organization, "places": places}


def _refused(request: HttpRequest, found: Found, refusal: AppError) -> HttpResponse:
    context = {**_facts(found), "message": refusal.message}
    return render(request, "projects/invite_refused.html", context, status=status_of(refusal))


def _invalid(request: HttpRequest) -> HttpResponse:
    """Used, expired, revoked, forged: one page, which tells nothing."""
    return render(request, "account/invitation_invalid.html", status=404)
