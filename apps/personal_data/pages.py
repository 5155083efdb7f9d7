"""The page on which people delete their account."""

from __future__ import annotations

from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.accounts.reauthentication import ask_again
from apps.accounts.signed_in import person_of
from apps.core.errors import AppError
from apps.core.http.errors import status_of
from apps.personal_data.deletion import delete_own_account
from apps.personal_data.forms import DeletionForm


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def delete_account(request: HttpRequest) -> HttpResponse:
    """Say what goes, ask who it is once more, and delete the account with everything it owns."""
    if (asked := ask_again(request)) is not None:
        return asked
    user = person_of(request)
    form, status = DeletionForm(request.POST if request.method == "POST" else None), 200
    if form.is_valid():
        try:
            delete_own_account(user=user, confirm=form.cleaned_data["confirm"])
        except AppError as refusal:
            form.add_error("confirm" if refusal.param else None, refusal.message)
            status = status_of(refusal)
        else:
            logout(request)
            return render(request, "personal_data/deleted.html")
    return render(request, "personal_data/delete.html", {"form": form}, status=status)
