"""What a new password has to be."""

from __future__ import annotations

from django.test import Client

from apps.accounts.models import User

PASSWORD = "analytical-engine-1"
PAGE = "/accounts/password/change/"


def test_a_password_that_has_to_change_does_not_stay(person: User):
    User.objects.filter(pk=person.pk).update(must_change_password=True)
    client = Client()
    client.force_login(person)
    before = User.objects.values().get()
    answer = client.post(PAGE, {"oldpassword": PASSWORD, "password1": PASSWORD, "password2": PASSWORD})
    assert answer.status_code == 200
    assert answer.context["form"].errors == {"password1": ["Choose another password than the current one."]}
    assert User.objects.values().get() == before
    assert client.get("/accounts/email/")["Location"] == PAGE


def test_a_wrong_current_password_says_nothing_about_the_new_one(person: User):
    client = Client()
    client.force_login(person)
    answer = client.post(PAGE, {"oldpassword": "wrong", "password1": PASSWORD, "password2": PASSWORD})
    assert answer.context["form"].errors == {"oldpassword": ["This is not your current password."]}
