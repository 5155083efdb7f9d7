from __future__ import annotations

from django import forms


class DeletionForm(forms.Form):
    confirm = forms.CharField(
        label="To confirm: your e-mail address or user name",
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
