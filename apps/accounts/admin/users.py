"""Users: found, made, changed, and stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from unfold.contrib.filters.admin import RadioFilter
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminEmailInputWidget

from apps.accounts import people
from apps.accounts.addresses import normalised
from apps.accounts.invitations import send_invitation
from apps.accounts.models import User
from apps.accounts.reauthentication import ask_again
from apps.accounts.sessions import actor_of, sign_out_everywhere
from apps.audit.history import AuditedAdmin
from apps.audit.services import Actor
from apps.core.admin import DayRangeFilter
from apps.core.errors import AppError

# Anybody may claim any address, so there may be many accounts that claim the same.
CLAIMS = 50


class FreeEmail(forms.EmailField):
    """Addresses are stored in one spelling, so that is how they are compared for being taken."""

    def to_python(self, value: Any) -> str:
        email = str(super().to_python(value))
        return normalised(email) if email else ""


def _refuse_taken(email: str, user: User) -> None:
    if email and EmailAddress.objects.filter(email=email, verified=True).exclude(user=user.pk).exists():
        raise ValidationError({"email": "Somebody else has verified this address."})


class NewUserForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email",)
        field_classes = {"email": FreeEmail}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].required = True  # it is what people sign in with; only guests have none
        self.fields["email"].help_text = ""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        _refuse_taken(cleaned.get("email", ""), self.instance)
        return cleaned


class UserForm(UserChangeForm):
    class Meta:
        model = User
        fields = ("email", "username", "name", "password", "is_staff", "is_superuser", "groups")
        field_classes = {"email": FreeEmail}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "email" in self.changed_data:
            _refuse_taken(cleaned.get("email", ""), self.instance)
        return cleaned


class PasswordForm(AdminPasswordChangeForm):
    """A password for somebody else. Taking it away altogether is not done here."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.fields.pop("usable_password", None)
        for name in ("password1", "password2"):
            self.fields[name].required = True


def _verified() -> Exists:
    return Exists(EmailAddress.objects.filter(user=OuterRef("pk"), verified=True))


class InvitationForm(forms.Form):
    email = forms.EmailField(label="E-mail address", max_length=254, widget=UnfoldAdminEmailInputWidget)


_ACCESS = ("is_staff", "is_superuser", "groups")


def _may_touch(request: HttpRequest, user: Any) -> bool:
    """Say whether the user may change this one: who could change an operator could become one."""
    is_operator = isinstance(user, User) and (user.is_staff or user.is_superuser)
    return not is_operator or request.user.is_superuser or user.pk == request.user.pk


class KindFilter(RadioFilter):
    title = "kind"
    parameter_name = "kind"
    _fields = {
        "person": {"is_guest": False, "is_staff": False},
        "operator": {"is_staff": True},
        "guest": {"is_guest": True},
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("person", "People"), ("operator", "Operators"), ("guest", "Guests")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        return queryset.filter(**self._fields.get(self.value() or "", {}))


class VerifiedFilter(RadioFilter):
    title = "e-mail"
    parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Verified"), ("no", "Not verified")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(_verified() if self.value() == "yes" else ~_verified())


class StateFilter(RadioFilter):
    title = "state"
    parameter_name = "state"
    _fields = {
        "active": {"is_active": True},
        "disabled": {"is_active": False},
        "must_change": {"must_change_password": True},
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "Active"), ("disabled", "Disabled"), ("must_change", "Has to change the password")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        return queryset.filter(**self._fields.get(self.value() or "", {}))


@admin.register(User)
class UserAdmin(DjangoUserAdmin, AuditedAdmin):  # type: ignore[misc]  # as Django's own says it otherwise
    """People and guests. Each comes with an organization of its own."""

    form = UserForm
    add_form = NewUserForm
    list_display = ("who", "name", "kind", "verified", "state", "last_seen_at", "created_at")
    list_filter = (KindFilter, VerifiedFilter, StateFilter, ("last_seen_at", DayRangeFilter))
    list_filter_submit = True
    search_by = {"user_": ("id__startswith",), "": ("email__startswith", "username__startswith")}
    search_help_text = "The beginning of an e-mail address, a user name or a user_ id."
    ordering = ("-created_at",)
    readonly_fields = ("id", "verified", "state", "is_guest", "last_login", "last_seen_at", "created_at", "updated_at")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("id", "email", "verified", "username", "name", "password")}),
        ("Access", {"fields": ("state", "is_staff", "is_superuser", "groups")}),
        ("Facts", {"fields": ("is_guest", "last_login", "last_seen_at", "created_at", "updated_at")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2")}),)
    actions = ("enable", "disable", "sign_out", "require_password_change", "reset_mfa")
    actions_list = ("invite",)
    actions_row = ("act_as",)
    actions_detail = (
        "act_as",
        "settings",
        {
            "title": "Actions",
            "items": ["enable_one", "disable_one", "sign_out_one", "require_password_change_one", "reset_mfa_one"],
        },
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        claims = EmailAddress.objects.filter(user=OuterRef("pk")).order_by("pk").values("email")
        found: QuerySet[User] = super().get_queryset(request)
        return found.annotate(is_verified=_verified(), claimed=Subquery(claims[:1]))

    def wanted_by(self, term: str) -> Q:
        # An account has its address once that is confirmed, and until then a claim. By ids both are indexed.
        claims = EmailAddress.objects.filter(email__startswith=term.lower(), verified=False)
        return super().wanted_by(term) | Q(pk__in=list(claims.values_list("user", flat=True)[:CLAIMS]))

    @display(description="User", ordering="email")
    def who(self, user: Any) -> str:
        return user.email or user.claimed or str(user)

    @display(description="Kind", label={"Guest": "warning", "Operator": "success", "Person": "info"})
    def kind(self, user: User) -> str:
        return "Guest" if user.is_guest else "Operator" if user.is_staff else "Person"

    @display(description="Verified", boolean=True)
    def verified(self, user: Any) -> bool:
        return bool(user.is_verified)

    @display(
        description="State", label={"active": "success", "has to change the password": "warning", "disabled": "danger"}
    )
    def state(self, user: User) -> str:
        if not user.is_active:
            return "disabled"
        return "has to change the password" if user.must_change_password else "active"

    @action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self._to_each(request, users, people.enable, "{} enabled.")

    @action(description="Disable: refuse them and their keys", permissions=["change"])
    def disable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self._to_each(request, users, people.disable, "{} refused everywhere within two seconds.")

    @action(description="Sign out everywhere", permissions=["change"])
    def sign_out(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse | None:
        question = "Every session and token of these users ends, in browsers and over the API. Their API keys go on."
        page = self.asks(request, users, action="sign_out", question=question, button="Sign out everywhere")

        def sign_out(*, user: User, actor: Actor) -> bool:
            sign_out_everywhere(user=user, actor=actor, keep=request.session if user.pk == actor.id else None)
            return True

        if page is None:
            self._to_each(request, users, sign_out, "{} signed out everywhere within two seconds.")
        return page

    @action(description="Require a password change", permissions=["change"])
    def require_password_change(self, request: HttpRequest, users: QuerySet[User]) -> None:
        done = "{} asked for another password before anything else. Who has none is left alone."
        self._to_each(request, users, people.require_password_change, done)

    @action(description="Reset second factors", permissions=["change"])
    def reset_mfa(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse | None:
        question = (
            "These users' authenticator apps, passkeys and recovery codes are forgotten: a password alone signs in "
            "until new ones are set up. Be sure who asked for it. They are told by mail."
        )
        page = self.asks(request, users, action="reset_mfa", question=question, button="Reset second factors")
        page = page or ask_again(request)
        if page is None:
            self._to_each(request, users, people.reset_second_factors, "{} without a second factor now.")
        return page

    def _to_each(self, request: HttpRequest, users: QuerySet[User], service: Callable[..., bool], done: str) -> None:
        changed = 0
        for user in users:
            try:
                self.require(_may_touch(request, user))
                changed += service(user=user, actor=actor_of(request.user))  # type: ignore[arg-type]
            except AppError as refusal:
                self.message_user(request, f"{user}: {refusal.message}", messages.ERROR)
        self.message_user(request, done.format("1 user is" if changed == 1 else f"{changed} users are"))

    @action(description="Act as", permissions=["change"], url_path="act-as")
    def act_as(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("act_as", self._only(object_id).get().pk)

    @action(description="Settings", permissions=["view"], url_path="settings")
    def settings(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user = self._only(object_id).get()
        return redirect(reverse("admin:user_settings_usersettings_changelist", query={"q": user.pk}))

    @action(description="Enable", permissions=["change"], url_path="enable")
    def enable_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._asks_of(request, object_id, "enable", "May this user sign in again?", "Enable")

    @action(description="Disable", permissions=["change"], url_path="disable")
    def disable_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "This user and its API keys are refused everywhere, and its sessions end."
        return self._asks_of(request, object_id, "disable", question, "Disable")

    @action(description="Sign out everywhere", permissions=["change"], url_path="sign-out")
    def sign_out_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.sign_out(request, self._only(object_id)) or self._back(object_id)

    @action(description="Require a password change", permissions=["change"], url_path="require-password-change")
    def require_password_change_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "This user sees nothing but the page that changes the password, until it is changed."
        return self._asks_of(request, object_id, "require_password_change", question, "Require a password change")

    @action(description="Reset second factors", permissions=["change"], url_path="reset-mfa")
    def reset_mfa_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.reset_mfa(request, self._only(object_id)) or self._back(object_id)

    def _asks_of(self, request: HttpRequest, pk: str, verb: str, question: str, button: str) -> HttpResponse:
        users = self._only(pk)
        page = self.asks(request, users, action=verb, question=question, button=button)
        return page or getattr(self, verb)(request, users) or self._back(pk)

    @staticmethod
    def _back(object_id: str) -> HttpResponse:
        return redirect("admin:accounts_user_change", quote(UserAdmin._only(object_id).get().pk))

    @staticmethod
    def _only(object_id: str) -> QuerySet[User]:
        # Links on pages spell an id in Django's way, those in a list's rows do not: `_40` may be what it is, or an `@`.
        found = User.objects.get_queryset().filter(pk__in={object_id, unquote(object_id)})
        if not found:
            raise Http404
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Nobody shuts themselves out, so there is always an operator left.
        is_own = obj is not None and obj.pk == request.user.pk
        # And who is no superuser makes none, nor gives anybody a role.
        fixed = _ACCESS if is_own or not request.user.is_superuser else ()
        return (*self.readonly_fields, *fixed)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_change_permission(request)) and _may_touch(request, obj)

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        # Another address, or an operator's rights, are as good as another password.
        if request.method == "POST" and object_id is not None and (asked := ask_again(request)) is not None:
            return asked
        try:
            return super().changeform_view(request, object_id, *args, **kwargs)
        except AppError as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return redirect(request.path)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        actor = actor_of(request.user)  # type: ignore[arg-type]
        if change:
            people.change_user(user=obj, fields=set(form.changed_data) - {"groups"}, actor=actor)
        else:
            people.add_user(user=obj, actor=actor)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        if "groups" in form.changed_data:
            roles = form.cleaned_data["groups"]
            people.set_staff_roles(user=form.instance, roles=roles, actor=actor_of(request.user))  # type: ignore[arg-type]

    @method_decorator(sensitive_post_parameters())
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        user = self.get_object(request, unquote(id))
        if user is None or not self.has_change_permission(request, user):
            raise PermissionDenied
        if (asked := ask_again(request)) is not None:
            return asked
        form = PasswordForm(user, request.POST or None)
        if form.is_valid():
            actor = actor_of(request.user)  # type: ignore[arg-type]
            keep = request.session if user.pk == actor.id else None
            people.set_password(user=user, password=form.cleaned_data["password1"], actor=actor, keep=keep)
            self.message_user(request, f"{user} has a new password and is signed out everywhere.")
            return redirect("admin:accounts_user_change", quote(user.pk))
        return self._form_page(request, form, f"Set the password of {user}", "Set the password")

    @action(description="Invite a person", permissions=["add"], url_path="invite", icon="mail")
    def invite(self, request: HttpRequest) -> HttpResponse:
        form = InvitationForm(request.POST or None)
        if form.is_valid():
            email = form.cleaned_data["email"]
            try:
                send_invitation(email=email, actor=actor_of(request.user))  # type: ignore[arg-type]
            except AppError as refusal:
                form.add_error("email", refusal.message)
            else:
                self.message_user(request, f"{email} is mailed a link to make an account with.")
                return redirect("admin:accounts_user_changelist")
        return self._form_page(request, form, "Invite a person", "Send the invitation")

    def _form_page(self, request: HttpRequest, form: forms.Form, title: str, button: str) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, "form": form}
        return TemplateResponse(request, "admin/accounts/form.html", {**context, "button": button})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Disabling keeps the ledger readable; deleting an account with what it owns comes with its own service.
        return False
