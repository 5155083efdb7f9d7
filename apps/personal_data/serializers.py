from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.http.serializers import StrictSerializer
from apps.personal_data.models import State


class ExportShape(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="data_export")
    status = serializers.ChoiceField(choices=[state.value for state in State])
    created_at = serializers.IntegerField()
    ready_at = serializers.IntegerField(allow_null=True)
    expires_at = serializers.IntegerField(allow_null=True)
    bytes = serializers.IntegerField(allow_null=True)
    download_url = serializers.CharField(allow_null=True)


class AccountConfirmation(StrictSerializer):
    confirm = serializers.CharField(max_length=254, help_text="Your e-mail address, your user name or your id.")


class AccountDeleted(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="user.deleted")
    deleted = serializers.BooleanField()
