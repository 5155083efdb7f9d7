"""What a DELETE answers."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response


def deleted(request: Request, public_id: str, kind: str) -> Response:
    """Return that the object is gone; `kind` is what its `object` said. Nothing for `Prefer: return=minimal`."""
    if prefers_minimal(request):
        return Response(status=204)
    return Response({"id": public_id, "object": f"{kind}.deleted", "deleted": True})


def prefers_minimal(request: Request) -> bool:
    """Say whether the caller sent `Prefer: return=minimal`, among other preferences or alone."""
    preferences = request.headers.get("Prefer", "").lower().replace(";", ",").split(",")
    return "return=minimal" in (preference.strip() for preference in preferences)
