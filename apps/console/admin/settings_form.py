"""Settings of organizations and projects as fields of a form, instead of one of JSON."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.errors import AppError
from apps.organizations.organization_settings import Storage

STORAGE = [
    ("", "Not set here"),
    (Storage.STORE.value, "Everything"),
    (Storage.METADATA.value, "What is not their text"),
    (Storage.NONE.value, "Nothing"),
]


class ModelNames(forms.CharField):
    """Models by their ids, one a line. Empty: not set."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):  # of a file that is imported
            return value
        names = [line.strip() for line in (super().to_python(value) or "").splitlines()]
        return [name for name in names if name] or None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or None) != self.to_python(data))


class SettingsForm(forms.ModelForm):
    """
    A row with `settings`, each of which is a field. `cleaned_data["settings"]` is all of them.

    `checked` is given those wanted, and raises AppError for a wrong one.
    """

    settings_fields: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def checked(wanted: dict[str, Any]) -> dict[str, Any]:
        return wanted

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update({name: self.instance.settings.get(name) for name in self.settings_fields})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        given = {name: cleaned.get(name) for name in self.settings_fields if cleaned.get(name) not in (None, "")}
        try:
            cleaned["settings"] = self.checked(given)
        except AppError as refusal:
            field = (refusal.param or "").removeprefix("settings.").partition(".")[0].partition("[")[0]
            raise ValidationError({field if field in self.fields else "__all__": refusal.message}) from None
        return cleaned
