"""Acting as a user: the page that asks why, the way in, the way back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse_lazy
from hijack.views import AcquireUserView, ReleaseUserView
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.accounts.acting import LIMIT, acting_of, began, came_back, may_act_as, start_of
from apps.accounts.models import User
from apps.accounts.reauthentication import ask_again


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=200, help_text="It goes into the audit log.", widget=UnfoldAdminTextInputWidget()
    )


def act_as(request: HttpRequest, user_id: str) -> HttpResponse:
    """Ask an operator why, then let this session's user be the other one."""
    if not admin.site.get_model_admin(User).has_view_permission(request):
        raise PermissionDenied  # who may not see users is not told whose id it is
    user = get_object_or_404(User, pk=user_id)
    is_allowed = isinstance(request.user, User) and may_act_as(hijacker=request.user, hijacked=user)
    if is_allowed and (asked := ask_again(request)) is not None:
        return asked
    form = ReasonForm(request.POST or None)
    if is_allowed and form.is_valid():
        answer: HttpResponse = StartActing.as_view(reason=form.cleaned_data["reason"])(request, user_id=user.pk)
        return answer
    context = {
        **admin.site.each_context(request),
        "title": f"Act as {user}",
        "target": user,
        "form": form,
        "is_allowed": is_allowed,
        "minutes": LIMIT.seconds // 60,
    }
    return TemplateResponse(request, "console/act_as.html", context, status=200 if is_allowed else 403)


class StartActing(AcquireUserView):
    """hijack's view, which also checks `HIJACK_PERMISSION_CHECK`; reached through the page only."""

    reason = ""
    success_url = reverse_lazy("account_home")

    def get_object(self, queryset: Any = None) -> User:
        return get_object_or_404(User, pk=self.kwargs["user_id"])

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        left = request.session.session_key
        acting = start_of(request, operator=User.objects.get(pk=request.user.pk), user=self.get_object())
        answer: HttpResponse = super().post(request, *args, **kwargs)
        began(request, acting, reason=self.reason, left=left)
        return answer


class StopActing(ReleaseUserView):
    success_url = reverse_lazy("admin:accounts_user_changelist")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        acting = acting_of(request)
        answer: HttpResponse = super().post(request, *args, **kwargs)
        if acting is not None:
            came_back(request, acting)
        return answer
