"""What people say of keys on pages."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms

from apps.api_keys import services
from apps.api_keys.tokens import KeyKind
from apps.organizations.roles import Scope

# A personal key's rights in words, those a new one has first.
WORDS = {
    Scope.INFERENCE: "Call models",
    Scope.MODELS_READ: "List models",
    Scope.API_KEYS_READ: "List API keys",
    Scope.API_KEYS_WRITE: "Make and revoke API keys",
}
_USUAL = (Scope.INFERENCE, Scope.MODELS_READ)
_LIVES = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}
_OVERLAPS = {
    datetime.timedelta(0): "not at all: it ends at once",
    datetime.timedelta(hours=1): "for an hour",
    services.OVERLAP: "for a day",
    services.MAX_OVERLAP: "for seven days",
}


def overlap_field(widget: type[forms.Select] = forms.Select) -> forms.TypedChoiceField:
    """Return the question how long the secret before a rotation works on."""
    return forms.TypedChoiceField(
        label="The secret before goes on working",
        choices=[(int(overlap.total_seconds()), words) for overlap, words in _OVERLAPS.items()],
        initial=int(services.OVERLAP.total_seconds()),
        coerce=lambda seconds: datetime.timedelta(seconds=int(seconds)),
        widget=widget,
    )


class RotationForm(forms.Form):
    overlap = overlap_field()


class NewPersonalKeyForm(forms.Form):
    """A personal key. `rights`: what its maker has where it is made, of which it gets no more."""

    name = forms.CharField(max_length=128, help_text="What it is for, such as “laptop”.")
    scopes = forms.MultipleChoiceField(
        label="It may",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one.", "invalid_choice": "You have no such right here."},
    )
    life = forms.TypedChoiceField(
        label="It works for",
        choices=list(_LIVES.items()),
        initial="90",
        required=False,
        empty_value=None,
        coerce=lambda days: datetime.timedelta(days=int(days)),
    )

    def __init__(self, *args: Any, rights: frozenset[Scope], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        able = rights & services.CAN_HOLD[KeyKind.USER]
        scopes = self.fields["scopes"]
        scopes.choices = [(scope.value, words) for scope, words in WORDS.items() if scope in able]  # type: ignore[attr-defined]
        scopes.initial = [scope.value for scope in _USUAL if scope in able]
