"""Every address of both admin sites and of the account pages, read from the URL conf, and what is tried there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib import admin
from django.db.models import ForeignKey, Model
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern
from django.utils.regex_helper import normalize

from apps.accounts.models import Invitation, User
from apps.api_keys.models import ApiKey
from apps.console.admin.panels import ORGANIZATION_PANELS, PROJECT_PANELS
from apps.console.tenant.lists import site as owners_site
from apps.organizations.models import Organization
from apps.projects.models import Project

OPERATORS, OWNERS, ACCOUNTS = "admin", "organization", "accounts"
_SITES = {OPERATORS: admin.site, OWNERS: owners_site}

# What is posted to a model's pages, by the last part of their names: enough to do what the page does, to a row
# that may be touched. A page of another name fails until it stands here.
_YES = {"post": "yes", "confirmed": "yes"}
POSTED: dict[str, dict[str, str]] = {
    "": {},  # Django's old address of a row, which leads to its page
    "act_as": {"reason": "to look"},
    "add": {"name": "taken over", "role": "owner", "email": "x@example.com", "days": "7", "kind": "project"},
    "archive_one": _YES,
    "auth_user_password_change": {"password1": "correct-horse-10", "password2": "correct-horse-10"},
    "change": {"name": "taken over", "role": "owner", "email": "x@example.com"},
    "changelist": _YES,
    "delete": _YES,
    "disable_one": _YES,
    "enable_one": _YES,
    "export": {},
    "history": {},
    "import": {},
    "invite": {"email": "x@example.com", "role": "owner", "days": "7"},
    "open_content": {"reason": "to read what was said there"},
    "panel": {},
    "remove_one": _YES,
    "require_password_change_one": _YES,
    "resend_one": _YES,
    "reset_mfa_one": _YES,
    "restore_one": _YES,
    "revoke_one": _YES,
    "rotate_one": {"overlap": "0"},
    "settings": {},
    "sign_out_one": _YES,
    "transfer": _YES,
    "unarchive_one": _YES,
    "usage": {},
}
# The same for pages that are of no model, by their whole names.
POSTED_ELSEWHERE: dict[str, dict[str, str]] = {
    "": {},  # what answers to all other addresses
    "act_as": {"reason": "to look"},
    "app_list": {},
    "autocomplete": {},
    "choose": {},
    "index": {},
    "jsi18n": {},
    "login": {},
    "logout": {},
    "make": {"name": "Apollo"},
    "password_change": {},
    "search": {},
    "view_on_site": {},
}
# Whose id stands in which place of an account page's address. A place of another name fails until it stands here.
NAMED: dict[str, type[Model]] = {
    "org_id": Organization,
    "project_id": Project,
    "key_id": ApiKey,
    "token": Invitation,
    "uidb36": User,
    "account_confirm_email key": EmailAddress,
    "account_end_session pk": UserSession,
    "mfa_edit_webauthn pk": Authenticator,
    "mfa_remove_webauthn pk": Authenticator,
}
# What is posted to all of them.
POSTED_BY_PEOPLE = {
    "name": "taken over", "overlap": "0", "scopes": "inference", "life": "7",
    "password1": "correct-horse-10", "password2": "correct-horse-10",
}  # fmt: skip
# How a provider's sign-in page begins is for everybody, and the same for all.
PUBLIC_PAGES = {"sso_login", "sso_callback"}


class Page(NamedTuple):
    """An address with places for ids, on a site, and the model whose rows it is about, if it is."""

    site: str
    name: str
    template: str
    params: tuple[str, ...]
    model: type[Model] | None

    def __str__(self) -> str:
        return self.template

    @property
    def part(self) -> str:
        """What the page does: the last part of its name, after the model's."""
        return self.name.removeprefix(
            f"{self.model._meta.app_label}_{self.model._meta.model_name}_" if self.model else ""
        )

    @property
    def posted(self) -> dict[str, str]:
        if self.site == ACCOUNTS:
            return POSTED_BY_PEOPLE
        return (POSTED if self.model else POSTED_ELSEWHERE)[self.part]

    @property
    def names_a_row(self) -> bool:
        return bool({"object_id", "id", "user_id", "content_type_id"} & set(self.params))

    @property
    def list_admin(self) -> Any:
        return _SITES[self.site].get_model_admin(self.model)  # type: ignore[type-var]


class Way(NamedTuple):
    """
    A request of a page: `{pk}` in it is the number of another tenant's row of a model, or whatever else it goes by
    on a site, `{name}` is its public id, and `{mark}` how all of the other tenant's names begin.
    """

    method: str
    path: str
    fields: dict[str, str]
    model: Any

    def with_id(self, ids: Mapping[str, str]) -> Way:
        fields = {name: _filled(value, ids) for name, value in self.fields.items()}
        return self._replace(path=_filled(self.path, ids), fields=fields)


def pages_of(site: str) -> list[Page]:
    """Return every address below a site's, once."""
    found: dict[str, Page] = {}
    for template, pattern in _walk(get_resolver().url_patterns):
        if template.startswith(f"{site}/"):
            page = Page(
                site, pattern.name or "", f"/{template}", tuple(re.findall(r"{(\w+)}", template)), _model(template)
            )
            found.setdefault(page.template, page)
    return list(found.values())


def _walk(patterns: list[Any], before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in patterns:
        written = before + _template(each.pattern)
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns, written)
        else:
            yield written, each


def _template(pattern: Any) -> str:
    if isinstance(pattern, RegexPattern):
        return re.sub(r"%\((\w+)\)s", r"{\1}", normalize(str(pattern))[0][0])
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern))


def _model(template: str) -> type[Model] | None:
    _, label, name, *_ = [*template.split("/"), "", ""]
    try:
        return apps.get_model(label, name)
    except (LookupError, ValueError):
        return None


def literals(page: Page) -> list[dict[str, str]]:
    """Return the ways to fill the places of an address that are for words and not for ids."""
    panels = {Organization: ORGANIZATION_PANELS, Project: PROJECT_PANELS}
    ways: list[dict[str, str]] = [{}]
    for name in page.params:
        words = {
            "kind": ["csv", "json"],
            "name": [panel.name for panel in panels.get(page.model, ())],  # type: ignore[call-overload]
            "app_label": ["projects"],
            "url": ["no/such/page/"],
        }.get(name, [])
        ways = [{**way, name: word} for way in ways for word in words] or ways
    return ways


def references(page: Page) -> dict[str, type[Model]]:
    """Return the columns of a page's model that point at rows of others."""
    fields = page.model._meta.concrete_fields if page.model else ()
    return {field.name: field.remote_field.model for field in fields if isinstance(field, ForeignKey)}


def choices(site: str) -> Iterator[tuple[dict[str, str], type[Model]]]:
    """Return each field of a site's forms that is chosen by searching, and what it is searched in."""
    for model, list_admin in _SITES[site]._registry.items():
        for name in list_admin.autocomplete_fields:
            field: Any = model._meta.get_field(name)
            place = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": name}
            yield place, field.remote_field.model


def ways_to_name(page: Page) -> list[Way]:
    """
    Return every request of a page in which another tenant's id stands once, and one without any where none can.
    """
    if page.site == ACCOUNTS:
        return _of_people(page)
    found = []
    for words in literals(page):
        path = _filled(page.template, words)
        if page.names_a_row:
            path = _filled(path, dict.fromkeys(("object_id", "id", "user_id"), "{pk}"))
            model = page.model or (Project if "content_type_id" in page.params else User)
            found += [Way("GET", path, {}, model), Way("POST", path, page.posted, model)]
        else:
            found += [Way("GET", path, {}, None), *_MORE.get(page.part, _nothing)(page, path)]
    return found


def _of_people(page: Page) -> list[Way]:
    if not page.params:
        return [Way("GET", page.template, {}, None)]
    models = [NAMED.get(name) or NAMED.get(f"{page.name} {name}") for name in page.params]
    if page.params == ("uidb36", "key"):
        models.pop()
    if len(models) != 1 or models[0] is None:
        raise KeyError(f"{page}: say in NAMED what stands there")
    path = _filled(
        page.template, {"key": "{pk}", "pk": "{pk}", "uidb36": "{pk}", **dict.fromkeys(page.params, "{name}")}
    )
    return [Way("GET", path, {}, models[0]), Way("POST", path, page.posted, models[0])]


def _filled(template: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        template = template.replace(f"{{{name}}}", word)
    return template


def _nothing(page: Page, path: str) -> list[Way]:
    return []


def _searched(page: Page, path: str) -> list[Way]:
    found = [Way("GET", path, {"q": "{name}"}, page.model), Way("GET", path, {"q": "{mark}"}, page.model)]
    if page.part == "export":
        return found
    found += [Way("GET", path, {f"{name}__id__exact": "{pk}"}, model) for name, model in references(page).items()]
    actions = [action for action in page.list_admin.actions or () if isinstance(action, str)]
    return found + [
        Way("POST", path, {**page.posted, "action": action, "_selected_action": "{pk}"}, page.model)
        for action in actions
    ]


def _added(page: Page, path: str) -> list[Way]:
    pointing = references(page)
    posted = {name: value for name, value in page.posted.items() if name not in pointing}
    found = [Way("GET", path, {name: "{pk}"}, model) for name, model in pointing.items()]
    return found + [Way("POST", path, {**posted, name: "{pk}"}, model) for name, model in pointing.items()]


def _imported(page: Page, path: str) -> list[Way]:
    pointing = {"id": page.model, **references(page)}
    return [Way("POST", path, {"file": f"name,{column}\nx,{{name}}\n"}, model) for column, model in pointing.items()]


def _chosen(page: Page, path: str) -> list[Way]:
    return [
        Way("GET", path, {**place, "term": term}, model)
        for place, model in choices(page.site)
        for term in ("", "{mark}", "{name}")
    ]


_MORE: dict[str, Callable[[Page, str], list[Way]]] = {
    "add": _added,
    "autocomplete": _chosen,
    "changelist": _searched,
    "choose": lambda page, path: [Way("POST", path, {"organization": "{name}"}, Organization)],
    "export": _searched,
    "import": _imported,
    "search": lambda page, path: [
        Way("GET", path, {"s": term, "extended": "1"}, Project) for term in ("{name}", "{mark}")
    ],
}
