"""Asking people who they are once more, before what is sensitive."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from allauth.account.utils import get_next_redirect_url
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import resolve, reverse

from apps.core.sealing import PLATFORM, seal, unseal

# What was posted too late is kept for so long.
KEPT_SECONDS = 600


def ask_again(request: HttpRequest) -> HttpResponse | None:
    """
    Return the way to the page that asks who it is, or None if that was proved in the last minutes.

    Signing in counts, as long as it is no older than `ACCOUNT_REAUTHENTICATION_TIMEOUT`. A form that
    was posted too late is kept, sealed because it may hold a secret, and posted again afterwards.
    """
    if _is_fresh(request):
        return None
    path = request.get_full_path()
    if request.method == "POST":
        kept = seal(request.POST.urlencode(), owner=PLATFORM, context=_context(request, path))
        request.session[STATE_SESSION_KEY] = {
            "callback": f"{__name__}.{post_again.__name__}",
            "state": {"path": path, "at": time.time(), "sealed": kept},
        }
    return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': path})}")


def _is_fresh(request: HttpRequest) -> bool:
    if not get_adapter().get_reauthentication_methods(request.user):
        return True  # as allauth has it: who only ever comes from an identity provider cannot be asked here
    since = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return any(step["at"] > since for step in get_authentication_records(request, request.user))


def post_again(request: HttpRequest, state: dict[str, Any]) -> HttpResponse | None:
    """
    allauth's callback once it is clear who it is: answer with what the kept form leads to.

    None, and the form is gone, if it is old or something else was wanted in between.
    """
    path = get_next_redirect_url(request)
    if path != state["path"] or state["at"] < time.time() - KEPT_SECONDS:
        return None
    posted = unseal(state["sealed"], owner=PLATFORM, context=_context(request, path))
    parts = urlsplit(path)
    match = resolve(parts.path)
    request.path = request.path_info = parts.path
    request.META["QUERY_STRING"] = parts.query
    request.GET, request.POST = QueryDict(parts.query), QueryDict(posted)
    request.resolver_match = match
    answer: HttpResponse = match.func(request, *match.args, **match.kwargs)
    return answer


def _context(request: HttpRequest, path: str) -> str:
    return f"kept-form:{request.user.pk}:{path}"
