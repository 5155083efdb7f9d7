"""Whether an answer may be kept: the organization, the project and the request each have a say."""

from __future__ import annotations

import pytest

from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.tokens import KeyKind
from apps.edge.idempotency import may_keep
from apps.organizations.models import Organization
from apps.projects.models import Project
from tests.api_keys.conftest import Caller, sign_up

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Caller:
    return sign_up("ada@example.com").with_key(kind=KeyKind.PROJECT)


@pytest.mark.parametrize(
    ("of_organization", "of_project", "storage"),
    [
        (None, None, "store"),
        ("store", None, "store"),
        (None, "metadata", "metadata"),
        ("metadata", "store", "metadata"),
        ("metadata", "none", "none"),
        ("none", "store", "none"),
    ],
)
def test_the_stricter_of_organization_and_project_counts(ada: Caller, of_organization, of_project, storage: str):
    for rows, pk, given in (
        (Organization, ada.organization.pk, of_organization),
        (Project, ada.project.pk, of_project),
    ):
        rows.objects.filter(pk=pk).update(settings={} if given is None else {"storage": given})
    principal = resolve(Credentials(bearer=ada.secret))
    assert principal is not None
    assert principal.storage == storage
    assert may_keep(principal, b"{}") is (storage == "store")


@pytest.mark.parametrize(
    ("body", "is_kept"),
    [
        (b'{"store": false}', False),
        (b'{"st\\u006fre": false, "messages": []}', False),
        (b'{"store": true}', True),
        (b'{"store": null}', True),
        (b'{"messages": [{"store": false}]}', True),
        (b"[]", True),
        (b"", True),
        (b"\xff", True),
        (b"[" * 100_000, True),
    ],
)
def test_a_request_may_ask_that_nothing_be_stored(ada: Caller, body: bytes, is_kept: bool):
    principal = resolve(Credentials(bearer=ada.secret))
    assert principal is not None
    assert may_keep(principal, body) is is_kept
