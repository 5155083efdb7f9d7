"""Invites as they come in and go out."""

from __future__ import annotations

import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from apps.core.errors import NotFound
from apps.core.http.moments import moment
from apps.core.http.serializers import StrictSerializer
from apps.organizations.models import Invite, InviteState
from apps.organizations.principal import Principal
from apps.organizations.roles import ProjectRole, Role
from apps.projects.invites import LIFE, MAX_DAYS, MAX_PROJECTS, Place
from apps.projects.models import Project

STATUSES = [InviteState.PENDING.value, InviteState.ACCEPTED.value, InviteState.EXPIRED.value]
# OpenAI's word, and ours.
_READER, _VIEWER = "reader", "viewer"


class RoleField(serializers.ChoiceField):
    """A role by our word or by OpenAI's."""

    def to_internal_value(self, data: Any) -> str:
        return str(super().to_internal_value(_VIEWER if data == _READER else data))


class InvitedPlace(StrictSerializer):
    """A project that comes with an invite, and the role in it."""

    id = serializers.CharField(max_length=64)
    role = RoleField(choices=[role.value for role in ProjectRole])


class NewInvite(StrictSerializer):
    """Whom to invite, to what."""

    email = serializers.EmailField(max_length=254)
    role = RoleField(choices=[role.value for role in Role])
    expires_in_days = serializers.IntegerField(default=LIFE.days, min_value=1, max_value=MAX_DAYS)
    message = serializers.CharField(
        max_length=2000, default="", allow_blank=True, help_text="Plain text, quoted in the mail."
    )
    projects = InvitedPlace(many=True, default=list, max_length=MAX_PROJECTS)  # type: ignore[call-arg]  # of many

    def validate_projects(self, places: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ids = [place["id"] for place in places]
        if len(set(ids)) < len(ids):
            raise serializers.ValidationError("Each project may be named once.")
        return places

    def places_for(self, principal: Principal) -> list[Place]:
        """Return the projects that were named. Raises NotFound for one the caller cannot know of."""
        visible = Project.objects.visible_to(principal)
        return [
            Place(_found(visible.with_public_id(place["id"])), ProjectRole(place["role"]))
            for place in self.validated_data["projects"]
        ]

    @property
    def life(self) -> datetime.timedelta:
        return datetime.timedelta(days=self.validated_data["expires_in_days"])


def _found(project: Project | None) -> Project:
    if project is None:
        raise NotFound("There is no such project.", code="project_not_found")
    return project


class Answer(StrictSerializer):
    """What somebody sends who was invited."""

    token = serializers.CharField(max_length=128, help_text="The secret of the mailed link.")


def invite_document(request: Request, invite: Invite, **more: Any) -> dict[str, Any]:
    """Return an invite as its organization sees it."""
    return {
        "id": invite.public_id,
        "object": "organization.invite",
        "email": invite.email,
        "role": invite.role,
        "status": invite.status,
        "status_detail": invite.status_detail,
        "created_at": moment(request, invite.created_at),
        "expires_at": moment(request, invite.expires_at),
        "accepted_at": moment(request, invite.accepted_at),
        "invited_by": invite.inviter,
        "message": invite.message,
        "projects": [{"id": each.project.public_id, "role": each.role} for each in invite.projects.all()],
        **more,
    }


def offer_document(request: Request, invite: Invite) -> dict[str, Any]:
    """Return an invite as whoever holds its link sees it: who asks, whereto and as what. No address."""
    return {
        "id": invite.public_id,
        "object": "organization.invite",
        "role": invite.role,
        "status": invite.status,
        "expires_at": moment(request, invite.expires_at),
        "invited_by": invite.inviter,
        "organization": organization_of(invite),
    }


def organization_of(invite: Invite) -> dict[str, str]:
    """Return what an invite says of its organization."""
    return {"name": invite.organization.name, "domain": invite.organization.domain}
