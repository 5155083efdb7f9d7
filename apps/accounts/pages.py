"""The pages of an account that allauth does not have."""

from __future__ import annotations

from typing import Any

from allauth.account.views import ConfirmEmailView as AllauthConfirmEmailView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.invitations import SignUp, invitation_of, remember
from apps.accounts.models import User
from apps.accounts.self_service import end_own_session
from apps.accounts.sessions import actor_of, sign_out_everywhere
from apps.accounts.signed_in import person_of


@require_safe
@never_cache
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Show what there is to see and change about one's own account."""
    return render(request, "account/home.html")


class ConfirmEmailView(AllauthConfirmEmailView):
    """allauth's page; pressing the button twice is answered by it too, and not by a 404."""

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().post(*args, **kwargs)
        except Http404:
            answer = self.get(*args, **kwargs)
        return answer


@require_safe
@never_cache
def follow_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Take the mailed link as proof of its address and go on to sign-up."""
    invitation = invitation_of(token)
    if invitation is None or settings.SIGNUP == SignUp.CLOSED:
        return render(request, "account/invitation_invalid.html", status=404)
    if User.objects.get_queryset().proven_by(invitation.email).exists():
        messages.info(request, f"{invitation.email} has an account already: sign in.")
        return redirect("account_login")
    if request.user.is_authenticated:
        return render(request, "account/invitation_elsewhere.html", {"email": invitation.email})
    remember(request, invitation, is_mailed=True)
    return redirect("account_signup")


@require_POST
@login_required
def sign_out_elsewhere(request: HttpRequest) -> HttpResponse:
    """End every session and token of oneself, but for the one this page is seen in."""
    user = person_of(request)
    sign_out_everywhere(user=user, actor=actor_of(user), keep=request.session)
    messages.success(request, "You are signed out everywhere else.")
    return redirect("usersessions_list")


@require_POST
@login_required
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """End one session of oneself."""
    if end_own_session(user=person_of(request), pk=pk):
        messages.success(request, "The session was ended.")
    return redirect("usersessions_list")
