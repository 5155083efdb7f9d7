from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Say what this server is and where everything is."""
    return render(request, "console/home.html", {"base": settings.PUBLIC_URL, "version": settings.VERSION})
