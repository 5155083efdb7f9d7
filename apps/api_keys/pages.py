"""The pages on which people look after the API keys they hold themselves."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts.models import User
from apps.accounts.reauthentication import ask_again
from apps.accounts.sessions import actor_of
from apps.accounts.signed_in import person_of
from apps.api_keys import services
from apps.api_keys.forms import WORDS, NewPersonalKeyForm, RotationForm
from apps.api_keys.models import WIDE, ApiKey
from apps.api_keys.tokens import KeyKind
from apps.core.errors import AppError, Forbidden
from apps.core.http.errors import status_of
from apps.organizations.models import Organization
from apps.organizations.roles import Scope
from apps.projects.models import Project
from apps.projects.rights import projects_of

PAGE_SIZE = 50
_asked_and_answered = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@never_cache
@login_required
def own_keys(request: HttpRequest) -> HttpResponse:
    """List the keys that one holds, wherever they are good."""
    keys = ApiKey.objects.of(person_of(request).pk)
    return render(request, "api_keys/own_keys.html", {"page": _page(request, keys)})


@require_safe
@never_cache
@login_required
def choose_project(request: HttpRequest) -> HttpResponse:
    """List the projects in which a key could be made. Whoever has one only is not asked."""
    projects = projects_of(person_of(request)).active().select_related("organization")
    ordered = projects.order_by("-organization__is_personal", "organization_id", "-is_default", "name", "pk")
    page = _page(request, ordered)
    if page.paginator.count == 1:
        return redirect("account_new_key_in", page.object_list[0].public_id)
    return render(request, "api_keys/choose_project.html", {"page": page})


@_asked_and_answered
@never_cache
@login_required
def make_key(request: HttpRequest, project_id: str) -> HttpResponse:
    """Make a personal key in a project, and show its secret on the answer to the form and nowhere else."""
    user = person_of(request)
    project: Project | None = projects_of(user).select_related("organization").with_public_id(project_id)
    if project is None:
        raise Http404
    try:
        giver = _giver(user, project, Scope.API_KEYS_WRITE)
    except Forbidden as refusal:
        return _refused(request, refusal)
    if (asked := ask_again(request)) is not None:
        return asked
    form = NewPersonalKeyForm(request.POST or None, rights=giver.scopes)
    if form.is_valid():
        life = form.cleaned_data["life"]
        try:
            key, token = services.create_key(
                kind=KeyKind.USER,
                name=form.cleaned_data["name"],
                place=project,
                holder=services.Holder(user),
                scopes=[Scope(scope) for scope in form.cleaned_data["scopes"]],
                giver=giver,
                expires_at=timezone.now() + life if life else None,
            )
        except AppError as refusal:  # one key too many, or the project was archived just now
            form.add_error(None, refusal.message)
        else:
            return _shown_once(request, key, token)
    return render(request, "api_keys/new_key.html", {"form": form, "project": project})


@_asked_and_answered
@never_cache
@login_required
def rotate_key(request: HttpRequest, key_id: str) -> HttpResponse:
    """Give one's key another secret, and show it on the answer to the form and nowhere else."""
    user, key = person_of(request), _found(request, key_id)
    try:
        giver = _giver(user, key.project or key.organization, _needed(key))
    except Forbidden as refusal:
        return _refused(request, refusal)
    if (asked := ask_again(request)) is not None:
        return asked
    form = RotationForm(request.POST or None)
    if form.is_valid():
        try:
            overlap = form.cleaned_data["overlap"]
            made = services.rotate_key(key=key, actor=actor_of(user), giver=giver, overlap=overlap)
        except AppError as refusal:
            form.add_error(None, refusal.message)
        else:
            return _shown_once(request, *made)
    return render(request, "api_keys/rotate_key.html", {"form": form, "key": key})


@_asked_and_answered
@never_cache
@login_required
def revoke_key(request: HttpRequest, key_id: str) -> HttpResponse:
    """
    End one's key, once it was asked whether to.

    That takes rights away and gives none, so whoever holds a key may, whatever became of its role, and
    in an archived project too.
    """
    user, key = person_of(request), _found(request, key_id)
    if request.method != "POST":
        return render(request, "api_keys/revoke_key.html", {"key": key})
    if services.revoke_key(key=key, actor=actor_of(user)):
        messages.success(request, f"{key.name} stops working everywhere within two seconds.")
    return redirect("account_keys")


def _page(request: HttpRequest, rows: Any) -> Any:
    return Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))


def _found(request: HttpRequest, key_id: str) -> ApiKey:
    """Return one of one's own keys. Whatever else there may be is not found."""
    key: ApiKey | None = ApiKey.objects.of(person_of(request).pk).with_public_id(key_id)
    if key is None:
        raise Http404
    return key


def _needed(key: ApiKey) -> Scope:
    """What it takes to give a key another secret, as over the API."""
    return Scope.ADMIN_KEYS_WRITE if key.kind in WIDE else Scope.API_KEYS_WRITE


def _giver(user: User, place: Project | Organization, needed: Scope) -> services.Giver:
    """Return what a person can hand on at a place. Raises Forbidden for whoever makes no keys there."""
    rights = services.rights_of(services.Holder(user), place)
    if needed in rights:
        return services.Giver(rights, holder=user.pk)
    if user.has_guest_rights:
        raise Forbidden("Confirm your e-mail address first: until then you make no keys.", code="guest_not_allowed")
    if isinstance(place, Project) and place.is_archived:
        raise Forbidden(f"{place.name} is archived, so its keys are left as they are.", code="project_archived")
    raise Forbidden(f"Your role in {place.name} does not let you make keys. Ask somebody who manages it.")


def _refused(request: HttpRequest, refusal: AppError) -> HttpResponse:
    return render(request, "api_keys/refused.html", {"message": refusal.message}, status=status_of(refusal))


def _shown_once(request: HttpRequest, key: ApiKey, token: str) -> HttpResponse:
    words = [WORDS.get(scope, scope.value) for scope in sorted(key.rights, key=_in_order)]
    can_call = Scope.INFERENCE in key.rights and key.kind != KeyKind.ADMIN
    context = {"key": key, "token": token, "words": words, "can_call": can_call, "base": settings.PUBLIC_URL}
    return render(request, "api_keys/secret.html", context)


def _in_order(scope: Scope) -> int:
    return list(Scope).index(scope)
