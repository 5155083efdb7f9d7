"""Invites of an organization, and the answers of who was invited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.core.errors import BadRequest, Forbidden
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate
from apps.organizations.actors import actor_of_caller, user_behind
from apps.organizations.models import Invite, InviteQuerySet
from apps.organizations.permissions import ANY_CREDENTIAL, principal_of
from apps.organizations.principal import Principal
from apps.organizations.roles import Role, Scope
from apps.organizations.scoping import OrganizationView
from apps.projects import invite_openapi as shapes
from apps.projects.invite_serializers import (
    STATUSES,
    Answer,
    NewInvite,
    invite_document,
    offer_document,
    organization_of,
)
from apps.projects.invites import (
    Rights,
    accept_invite,
    decline_invite,
    no_such_invite,
    offered,
    resend_invite,
    revoke_invite,
    send_invite,
)
from apps.projects.rights import grants_of


def _rights_of(principal: Principal) -> Rights:
    return lambda project: grants_of(principal, project)


class InvitesView(OrganizationView):
    required_scope = {"GET": Scope.INVITES_READ, "POST": Scope.INVITES_WRITE}

    @extend_schema(
        operation_id="listInvites",
        summary="List invites",
        description="Revoked ones are gone.",
        tags=shapes.TAGS,
        parameters=shapes.LIST_PARAMETERS,
        responses={200: shapes.InviteList},
        examples=[shapes.INVITES_EXAMPLE],
    )
    def get(self, request: Request, **_: Any) -> Response:
        invites = _with_status(request, Invite.objects.in_organization(self.organization_id).listed())
        page = paginate(
            request,
            invites.prefetch_related("projects__project"),
            lambda invite: invite_document(request, invite),
            named="invites",
            always_named=True,
        )
        return Response(page)

    @extend_schema(
        operation_id="createInvite",
        summary="Invite somebody",
        description=(
            "A mail with a link is sent to the address. Nobody invites to a role with rights it has not. `invite_url` "
            "is a link to hand over yourself: it opens the same invite once, but unlike the mailed one it does not "
            "prove the address. Five mails an hour go to one address."
        ),
        tags=shapes.TAGS,
        request=NewInvite,
        responses={200: shapes.SentInviteSerializer},
        examples=[shapes.NEW_INVITE_EXAMPLE, shapes.SENT_EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = NewInvite(data=request.data)
        wanted.is_valid(raise_exception=True)
        fields = wanted.validated_data
        invite, url = send_invite(
            organization=self.organization,
            email=fields["email"],
            role=Role(fields["role"]),
            inviter=user_behind(self.principal),
            actor=actor_of_caller(self.principal),
            rights=_rights_of(self.principal),
            life=wanted.life,
            message=fields["message"],
            places=wanted.places_for(self.principal),
        )
        return Response(invite_document(request, invite, invite_url=url))


def _with_status(request: Request, invites: InviteQuerySet) -> InviteQuerySet:
    status = request.query_params.get("status")
    if status is None:
        return invites
    if status not in STATUSES:
        raise BadRequest(f"'status' must be one of {', '.join(STATUSES)}.", param="status")
    return invites.with_status(status)


class InviteManagementView(OrganizationView):
    """A view of one invite, for those who manage them."""

    def found(self, invite_id: str) -> Invite:
        invites = Invite.objects.in_organization(self.organization_id).listed().select_related("organization")
        invite: Invite | None = invites.with_public_id(invite_id)
        if invite is None:
            raise no_such_invite()
        return invite


class InviteView(InviteManagementView):
    required_scope = {"GET": Scope.INVITES_READ, "DELETE": Scope.INVITES_WRITE}

    def get_permissions(self) -> Sequence[Any]:
        """Whoever holds the link's secret needs no credential to look at the invite."""
        if self.request.method == "GET" and "token" in self.request.query_params and "org_id" not in self.kwargs:
            return []
        return super().get_permissions()

    @extend_schema(
        operation_id="retrieveInvite",
        summary="Retrieve an invite",
        description=(
            "With `token`, the secret of its link, it needs no credential and tells what the invite offers: where, as "
            "what, and who asks. A wrong secret is answered like an unknown id."
        ),
        tags=shapes.TAGS,
        parameters=[shapes.TOKEN_PARAMETER],
        responses={200: shapes.DetailedInviteSerializer},
        examples=[shapes.INVITE_EXAMPLE, shapes.OFFER_EXAMPLE],
    )
    def get(self, request: Request, invite_id: str, **_: Any) -> Response:
        if "token" in request.query_params and "org_id" not in self.kwargs:
            return Response(offer_document(request, _offered(invite_id, request.query_params["token"])))
        invite = self.found(invite_id)
        return Response(invite_document(request, invite, organization=organization_of(invite)))

    @extend_schema(
        operation_id="deleteInvite",
        summary="Revoke an invite",
        description="Its link dies and it is gone. One that was accepted cannot be revoked.",
        tags=shapes.TAGS,
        responses={200: shapes.DeletedInviteSerializer},
        examples=[shapes.DELETED_INVITE_EXAMPLE],
    )
    def delete(self, request: Request, invite_id: str, **_: Any) -> Response:
        revoke_invite(invite=self.found(invite_id), actor=actor_of_caller(self.principal))
        return deleted(request, invite_id, "organization.invite")


class ResendView(InviteManagementView):
    required_scope = Scope.INVITES_WRITE

    @extend_schema(
        operation_id="resendInvite",
        summary="Send an invite again",
        description="With a new link and as much time as it had. The link before dies. Expired ones come back to life.",
        tags=shapes.TAGS,
        request=None,
        responses={200: shapes.SentInviteSerializer},
        examples=[shapes.SENT_EXAMPLE],
    )
    def post(self, request: Request, invite_id: str, **_: Any) -> Response:
        invite, url = resend_invite(
            invite=self.found(invite_id),
            inviter=user_behind(self.principal),
            actor=actor_of_caller(self.principal),
            rights=_rights_of(self.principal),
        )
        return Response(invite_document(request, invite, invite_url=url))


class AnswerView(APIView):
    """A view for who was invited: a person, with an access token and the link's secret."""

    required_scope = ANY_CREDENTIAL

    def answered(self, request: Request, invite_id: str) -> tuple[Invite, User]:
        """Return the invite and who answers it. Raises Forbidden for keys, NotFound for a secret that opens nothing."""
        principal = principal_of(request)
        if principal.key_id is not None:
            raise Forbidden(
                "An invite is answered by the person it was sent to: use the access token of that account, not a key.",
                code="wrong_key_kind",
            )
        answer = Answer(data=request.data)
        answer.is_valid(raise_exception=True)
        invite = _offered(invite_id, answer.validated_data["token"])
        if "org_id" in self.kwargs and invite.organization_id != principal.organization_id:
            raise no_such_invite()
        return invite, user_behind(principal)

    def document(self, request: Request, invite: Invite) -> Response:
        invite.refresh_from_db()
        return Response(invite_document(request, invite, organization=organization_of(invite)))


class AcceptView(AnswerView):
    @extend_schema(
        operation_id="acceptInvite",
        summary="Accept an invite",
        description="Needs the access token of an account whose verified e-mail address is the invite's.",
        tags=shapes.TAGS,
        request=Answer,
        responses={200: shapes.DetailedInviteSerializer},
        examples=[shapes.ANSWER_EXAMPLE, shapes.ACCEPTED_EXAMPLE],
    )
    def post(self, request: Request, invite_id: str, **_: Any) -> Response:
        invite, user = self.answered(request, invite_id)
        accept_invite(invite=invite, user=user)
        return self.document(request, invite)


class DeclineView(AnswerView):
    @extend_schema(
        operation_id="declineInvite",
        summary="Decline an invite",
        description="For the same person as accepting it. Its status is `expired` from then on.",
        tags=shapes.TAGS,
        request=Answer,
        responses={200: shapes.DetailedInviteSerializer},
        examples=[shapes.ANSWER_EXAMPLE, shapes.DECLINED_EXAMPLE],
    )
    def post(self, request: Request, invite_id: str, **_: Any) -> Response:
        invite, user = self.answered(request, invite_id)
        decline_invite(invite=invite, user=user)
        return self.document(request, invite)


def _offered(invite_id: str, secret: str) -> Invite:
    """Return the open invite of this id that this secret opens. Raises NotFound."""
    found = offered(secret)
    if found is None or found.row.public_id != invite_id:
        raise no_such_invite()
    invite: Invite = found.row
    return invite
