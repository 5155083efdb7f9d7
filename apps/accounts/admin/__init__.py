"""People and how they sign in, in the operator's admin."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group

# Lists of our own take their place, and secrets of single sign-on are nobody's to read.
for model in (Group, EmailAddress, UserSession, Authenticator, SocialAccount, SocialApp, SocialToken):
    if admin.site.is_registered(model):
        admin.site.unregister(model)

from apps.accounts.admin import invitations, sign_in, staff_roles, users  # noqa: E402, F401
