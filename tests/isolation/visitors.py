"""Whoever comes to the pages, and what they get to see there."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlencode

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import Group as StaffRole
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.base import BaseHandler
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory
from django.utils import timezone

from apps.accounts.models import Invitation, User
from apps.api_keys.models import ApiKey
from apps.core.ids import new_id
from apps.idempotency.models import IdempotencyRecord
from apps.organizations.models import Membership
from apps.projects.models import Project
from apps.user_settings.models import UserSettings
from tests.console.conftest import SIGN_IN, prove
from tests.isolation.addresses import Way
from tests.isolation.matrix import Tables, rolled_back, watched
from tests.isolation.tenants import CANARY, Tenant

# B's rows have numbers that nothing else on a page looks like.
_FAR_AWAY = 73_000_000
_NUMBER = re.compile(r"\b73\d{6}\b")
_NOBODYS = 73_999_999
_VARIES = re.compile(r'(?:nonce-|csrfmiddlewaretoken" value="|"csrfToken": ")[^"\'&;]+')
_factory = RequestFactory()

VISITORS = (
    "anonymous", "person", "member", "owner", "former owner of the other", "staff", "staff who may view projects",
    "operator",
)  # fmt: skip


class Seen(NamedTuple):
    """An answer, without what differs from one request to the next, and what the request did."""

    status: int
    text: str
    leads_to: str
    changed: set[str]
    has_sent: bool


class Visitors:
    """Tenants A and B, whose rows have far away numbers, and who comes with B's."""

    def __init__(self) -> None:
        self.a = Tenant("alpha", "plain")
        people = self._people()
        _count_on_from(_FAR_AWAY)
        self.b = Tenant("beta", CANARY)
        self.rows = {type(row): row for row in [*_belongings(self.b), *self.b.rows.values()]}
        role = StaffRole.objects.create(name=f"{CANARY} role")
        self.rows |= {User: self.b.owner, Membership: self.b.row("member"), StaffRole: role}
        self.rows |= {ApiKey: self.b.row("project_key"), Project: self.b.row("project")}
        self._fixed = {"content_type_id": str(ContentType.objects.get_for_model(Project).pk)}
        self._cookies = {name: _cookies(user, self.a, self.b) for name, user in people.items()}
        _count_on_from(2 * _FAR_AWAY)
        self._foreign = self.b.ids() | {CANARY, "of beta"}
        self._handler = BaseHandler()
        self._handler.load_middleware()
        self._tables = Tables(self.b)
        self._before = self._tables.read()

    def _people(self) -> dict[str, User | None]:
        a = self.a
        people = {name: a._person(name.replace(" ", "-")) for name in VISITORS[1:] if name != "owner"}
        for name in VISITORS:
            if name not in ("anonymous", "owner", "former owner of the other"):
                people[name].memberships.all().delete()  # each is an owner at home
        Membership.objects.create(organization=a.organization, user=people["member"], role="member")
        User.objects.get_queryset().filter(pk__in=[people[name].pk for name in VISITORS[5:]]).update(is_staff=True)
        User.objects.get_queryset().filter(pk=people["operator"].pk).update(is_superuser=True)
        people["staff who may view projects"].user_permissions.set(Permission.objects.filter(codename="view_project"))
        return {"anonymous": None, "owner": a.owner, **people}

    def theirs(self, model: Any) -> dict[str, str]:
        """How a request names B's row of a model."""
        if model is None:
            return {}
        row = self.rows[model]
        return {"pk": str(row.pk), "name": str(getattr(row, "public_id", row.pk)), "mark": CANARY, **self._fixed}

    def nobodys(self, model: Any) -> dict[str, str]:
        """The like of that, of no row."""
        unknown = {name: _unlike(value) for name, value in self.theirs(model).items()}
        return {**unknown, **self._fixed} if unknown else {}

    def ask(self, who: str, way: Way, ids: dict[str, str]) -> Seen:
        """Ask for a page as somebody, naming a row, and take everything back."""
        cache.clear()  # tries are counted there
        mail.outbox.clear()
        with rolled_back(), watched() as statements:
            waiting = len(connection.run_on_commit)
            request = _request(way.with_id(ids))
            request.META["HTTP_COOKIE"] = self._cookies[who]
            request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
            response: Any = self._handler.get_response(request)
            has_sent = len(connection.run_on_commit) > waiting or bool(mail.outbox)
            # The visitor's own session is written all the time.
            written = [sql for sql in statements if '"django_session"' not in sql]
            changed = self._tables.compare(self._before) - {"sessions.Session"} if written else set()
        text = b"".join(response) if response.streaming else response.content
        place = response.headers.get("Location", "")
        shown, leads_to = (_without(way, ids, _VARIES.sub("", part)) for part in (text.decode(), place))
        return Seen(response.status_code, shown, leads_to, changed, has_sent)

    def leaks(self, seen: Seen) -> set[str]:
        """What of B's is in an answer although the visitor did not send it."""
        # What the button on the sign-in page says is for everybody.
        told = f"{seen.text}\n{seen.leads_to}".replace(str(self.b.row("identity_provider").name), "")
        return {name for name in self._foreign if name in told} | set(_NUMBER.findall(told))


def _unlike(named: str) -> str:
    if named.isdecimal():
        return str(_NOBODYS)
    prefix, _, rest = named.partition("_")
    return new_id(prefix) if rest else "nobodys"


def _request(way: Way) -> Any:
    if way.method == "GET":
        return _factory.get(way.path, way.fields)
    if "file" in way.fields:
        return _factory.post(way.path, {"file": SimpleUploadedFile("rows.csv", way.fields["file"].encode())})
    return _factory.post(way.path, urlencode(way.fields), content_type="application/x-www-form-urlencoded")


def _without(way: Way, ids: dict[str, str], text: str) -> str:
    """Take out what the visitor sent, which is no leak."""
    sent = f"{way.path} {way.fields}"
    for name in ("name", "pk", "mark"):
        if f"{{{name}}}" in sent and name in ids:
            text = text.replace(ids[name], "<id>")
    return text


def _count_on_from(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()")
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER SEQUENCE {connection.ops.quote_name(name)} RESTART WITH {number}")


def _belongings(tenant: Tenant) -> list[Model]:
    """What belongs to a tenant's owner."""
    user = tenant.owner
    now = timezone.now()
    return [
        UserSession.objects.create(user=user, ip="192.0.2.7", session_key=f"{CANARY}-session", user_agent=CANARY),
        EmailAddress.objects.get(user=user),
        SocialAccount.objects.create(user=user, provider="google", uid=f"{CANARY}-uid"),
        Authenticator.objects.create(user=user, type="webauthn", data={"name": CANARY}),
        Invitation.objects.create(
            email=f"{CANARY}@example.com", token_digest=CANARY, sent_at=now, expires_at=now, invited_by=user
        ),
        UserSettings.objects.create(user=user, saved={"note": CANARY}),
        IdempotencyRecord.objects.create(
            organization=tenant.organization,
            credential=user.pk,
            route=f"POST /{CANARY}",
            key=CANARY,
            digest=CANARY,
            state="running",
            lease_until=now,
        ),
    ]


def _cookies(user: User | None, a: Tenant, b: Tenant) -> str:
    if user is None:
        return ""
    client = Client()
    client.force_login(User.objects.get(pk=user.pk), backend=SIGN_IN)
    prove(client, user)
    session = client.session
    # The organization that was chosen: the one that is no longer theirs to choose.
    session["organization_site"] = (b if user.username and "former" in user.username else a).organization.public_id
    session.save()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
