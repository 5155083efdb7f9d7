from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import Role
from apps.usage.models import UsageRecord

pytestmark = pytest.mark.django_db


def seed() -> dict[str, Any]:
    printed = StringIO()
    call_command("seed_demo", "--json", stdout=printed)
    return dict(json.loads(printed.getvalue()))


def test_somebody_else_under_a_demo_address_is_left_alone():
    theirs = User.objects.create_user("owner@a.demo.invalid", "their-password-1")
    organizations = set(Organization.objects.values_list("pk", flat=True))
    with pytest.raises(CommandError, match=r"owner@a\.demo\.invalid belongs to somebody else"):
        seed()
    assert set(Organization.objects.values_list("pk", flat=True)) == organizations
    assert Membership.objects.filter(user=theirs).count() == 1


def test_what_was_taken_away_is_made_again_and_nothing_twice():
    stranger = User.objects.create_user("stranger@example.com")
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    month = UsageRecord.objects.filter(accepted_at__lt=hour)
    first = seed()
    counted = month.count()
    organization = Organization.objects.get(public_id=first["organizations"][0]["id"])
    Membership.objects.get(organization=organization, user__email="member@a.demo.invalid").delete()
    Membership.objects.filter(organization=organization, user__email="admin@a.demo.invalid").update(role=Role.VIEWER)
    ApiKey.objects.get(public_id=first["organizations"][0]["objects"]["admin_api_key"][0]).delete()
    second = seed()
    assert [each["id"] for each in second["organizations"]] == [each["id"] for each in first["organizations"]]
    roles = Membership.objects.filter(organization=organization).values_list("user__email", "role")
    assert dict(roles) == {f"{role}@a.demo.invalid": role.value for role in Role}
    assert (
        second["organizations"][0]["objects"]["admin_api_key"] != first["organizations"][0]["objects"]["admin_api_key"]
    )
    assert second["organizations"][1]["objects"] == first["organizations"][1]["objects"]
    assert month.count() == counted > 600
    assert Organization.objects.filter(memberships__user=stranger).count() == 1
    assert Organization.objects.count() == 3
