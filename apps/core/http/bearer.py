from __future__ import annotations

from apps.core.errors import Unauthenticated


def bearer_of(authorization: str | None) -> str | None:
    """Return the credential of an Authorization header, None if there is no header. Raises Unauthenticated."""
    if not authorization:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise Unauthenticated("Authorization must be 'Bearer <key or token>'.", code="invalid_authorization")
    return value.strip()
