"""Members of a project."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.http.deletion import deleted
from apps.core.http.moments import moment
from apps.core.http.pagination import paginate
from apps.core.http.serializers import StrictSerializer
from apps.organizations.actors import actor_of_caller
from apps.organizations.models import Membership
from apps.organizations.roles import ProjectRole, Scope
from apps.projects import members
from apps.projects.models import ProjectMembership
from apps.projects.openapi import (
    CURSORS,
    DELETED_USER_EXAMPLE,
    NEW_USER_EXAMPLE,
    ROLE_EXAMPLE,
    USER_EXAMPLE,
    USERS_EXAMPLE,
    DeletedSerializer,
    ProjectUserList,
    ProjectUserSerializer,
)
from apps.projects.rights import grants_of
from apps.projects.scoping import ProjectView

_TAGS = ["Project members"]


class ProjectRoleField(serializers.ChoiceField):
    """A role in a project; OpenAI's `reader` is a viewer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[*(role.value for role in ProjectRole), "reader"], **kwargs)

    def to_internal_value(self, data: Any) -> ProjectRole:
        word = super().to_internal_value(data)
        return ProjectRole.VIEWER if word == "reader" else ProjectRole(word)


class ChangedMember(StrictSerializer):
    role = ProjectRoleField()


class NewMember(ChangedMember):
    user_id = serializers.CharField(required=False, max_length=64)
    email = serializers.EmailField(required=False, max_length=254, help_text="Instead of `user_id`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs.keys() & {"user_id", "email"}) != 1:
            raise serializers.ValidationError({"user_id": ["Give it or 'email', and one of them."]})
        return attrs


class ProjectUsersView(ProjectView):
    required_scope = {"GET": Scope.MEMBERS_READ, "POST": Scope.MEMBERS_WRITE}

    @extend_schema(
        operation_id="listProjectUsers",
        summary="List a project's members",
        description="Those who were given a role in it. The organization's owners and admins are in all projects.",
        tags=_TAGS,
        parameters=CURSORS,
        responses={200: ProjectUserList},
        examples=[USERS_EXAMPLE],
    )
    def get(self, request: Request, **_: Any) -> Response:
        places = _places(self).annotate(user_id=F("membership__user_id"))
        page = paginate(
            request, places, lambda place: _document(request, place), named="users", key="user_id", always_named=True
        )
        return Response(page)

    @extend_schema(
        operation_id="createProjectUser",
        summary="Add a member to a project",
        description="Somebody of the organization, by id or e-mail address. Nobody gives rights it lacks itself.",
        tags=_TAGS,
        request=NewMember,
        responses={200: ProjectUserSerializer},
        examples=[NEW_USER_EXAMPLE, USER_EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = NewMember(data=request.data)
        wanted.is_valid(raise_exception=True)
        fields = wanted.validated_data
        place = members.add_member(
            project=self.project,
            membership=self._member(fields),
            role=fields["role"],
            giver=grants_of(self.principal, self.project),
            actor=actor_of_caller(self.principal),
        )
        return Response(_document(request, place))

    def _member(self, fields: dict[str, Any]) -> Membership:
        people = Membership.objects.in_organization(self.organization_id).select_related("user")
        email = fields.get("email")
        named = people.filter(user__email=email.lower()) if email else people.filter(user_id=fields["user_id"])
        if (found := named.first()) is None:
            raise members.no_such_member()
        member: Membership = found
        return member


class ProjectUserView(ProjectView):
    required_scope = {
        "GET": Scope.MEMBERS_READ,
        "POST": Scope.MEMBERS_WRITE,
        "PATCH": Scope.MEMBERS_WRITE,
        "DELETE": Scope.MEMBERS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveProjectUser",
        summary="Retrieve a member of a project",
        tags=_TAGS,
        responses={200: ProjectUserSerializer},
        examples=[USER_EXAMPLE],
    )
    def get(self, request: Request, user_id: str, **_: Any) -> Response:
        return Response(_document(request, _place(self, user_id)))

    @extend_schema(
        operation_id="updateProjectUser",
        summary="Change a member's role in a project",
        tags=_TAGS,
        request=ChangedMember,
        responses={200: ProjectUserSerializer},
        examples=[ROLE_EXAMPLE, USER_EXAMPLE],
    )
    def post(self, request: Request, user_id: str, **_: Any) -> Response:
        return self._update(request, user_id)

    @extend_schema(
        operation_id="patchProjectUser",
        summary="Change a member's role in a project (other verb)",
        tags=_TAGS,
        request=ChangedMember,
        responses={200: ProjectUserSerializer},
        examples=[ROLE_EXAMPLE, USER_EXAMPLE],
    )
    def patch(self, request: Request, user_id: str, **_: Any) -> Response:
        return self._update(request, user_id)

    @extend_schema(
        operation_id="deleteProjectUser",
        summary="Remove a member from a project",
        description="It stays in the organization. A project may lose its last owner.",
        tags=_TAGS,
        responses={200: DeletedSerializer, 204: None},
        examples=[DELETED_USER_EXAMPLE],
    )
    def delete(self, request: Request, user_id: str, **_: Any) -> Response:
        giver = grants_of(self.principal, self.project)
        members.remove_member(place=_place(self, user_id), giver=giver, actor=actor_of_caller(self.principal))
        return deleted(request, user_id, "organization.project.user")

    def _update(self, request: Request, user_id: str) -> Response:
        wanted = ChangedMember(data=request.data)
        wanted.is_valid(raise_exception=True)
        place = members.change_member(
            place=_place(self, user_id),
            role=wanted.validated_data["role"],
            giver=grants_of(self.principal, self.project),
            actor=actor_of_caller(self.principal),
        )
        return Response(_document(request, place))


def _places(view: ProjectView) -> Any:
    places = ProjectMembership.objects.in_organization(view.organization_id).filter(project=view.project)
    return places.select_related("membership__user", "project")


def _place(view: ProjectView, user_id: str) -> ProjectMembership:
    found = _places(view).filter(membership__user_id=user_id).first() if "\x00" not in user_id else None
    if found is None:
        raise members.no_such_member()
    place: ProjectMembership = found
    return place


def _document(request: Request, place: ProjectMembership) -> dict[str, Any]:
    user = place.membership.user
    return {
        "id": user.pk,
        "object": "organization.project.user",
        "role": str(place.role),
        "name": user.name,
        "email": user.email,
        "added_at": moment(request, place.created_at),
    }
