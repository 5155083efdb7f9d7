"""Which conversations an operator has opened in this session, and who of the organization is told."""

from __future__ import annotations

import datetime
import time
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.audit.services import Action
from apps.conversations.models import Conversation
from apps.organizations.models import Organization

LIMIT = datetime.timedelta(minutes=15)
TOLD_DAYS = 30
MOST_TOLD = 100
_SESSION_KEY = "opened_conversations"


def open_until(request: HttpRequest, conversation: Conversation) -> datetime.datetime | None:
    """Return how long this session may go on reading a conversation, or None if it has to be opened (again)."""
    operator, since = _opened(request).get(conversation.public_id, ("", 0.0))
    until = since + LIMIT.total_seconds()
    if operator != request.user.pk or time.time() >= until:
        return None
    return datetime.datetime.fromtimestamp(until, datetime.UTC)


def remember(request: HttpRequest, conversation: Conversation) -> None:
    """Let this session read a conversation from now on, for a while."""
    oldest = time.time() - LIMIT.total_seconds()
    going_on = {public_id: opening for public_id, opening in _opened(request).items() if opening[1] > oldest}
    request.session[_SESSION_KEY] = {**going_on, conversation.public_id: [str(request.user.pk), time.time()]}


def _opened(request: HttpRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.session.get(_SESSION_KEY, {})
    return found


def openings_in(organization: Organization) -> int:
    """Return how often an organization's conversations were opened lately; counted up to a hundred."""
    since = timezone.now() - datetime.timedelta(days=TOLD_DAYS)
    events = AuditEvent.objects.in_organization(organization.public_id).with_actions([Action.CONVERSATION_OPENED])
    return events.between(since, None).order_by()[:MOST_TOLD].count()
