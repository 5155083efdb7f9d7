"""SAML 2.0 by allauth, where its extra is installed: our rows, our rules about who is let in."""

from __future__ import annotations

import hashlib
from typing import Any

from allauth.socialaccount.providers.saml.provider import SAMLProvider as BaseProvider

from apps.sso.models import MAX_SUBJECT, IdentityProvider, SSODomain
from apps.sso.people import Profile, profile_of
from apps.sso.rows import RowProvider

# In INSTALLED_APPS where its extra is installed.
SAML_APP = "allauth.socialaccount.providers.saml"
_MAIL = "urn:oid:0.9.2342.19200300.100.1.3"
_MAIL_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"
_DISPLAY_NAME = "urn:oid:2.16.840.1.113730.3.1.241"


def saml_settings(row: IdentityProvider) -> dict[str, Any]:
    """Return allauth's settings of a provider: signed assertions only, and only those that we asked for."""
    return {
        "idp": {"entity_id": row.issuer, "sso_url": row.sso_url, "x509cert": row.certificate},
        "advanced": {
            "want_assertion_signed": True,
            "want_name_id": True,
            "reject_idp_initiated_sso": True,
            "allow_single_label_domains": True,  # our own name may be localhost
        },
        "attribute_mapping": {
            "uid": BaseProvider.default_attribute_mapping["uid"],
            "email": [row.email_claim, "email", "mail", _MAIL, _MAIL_CLAIM],
            "name": [row.name_claim, "displayName", _DISPLAY_NAME],
        },
    }


class SAMLProvider(RowProvider, BaseProvider):
    """
    A provider that signs assertions.

    SAML has no word for a verified address, so an address counts as one if its domain is an SSO
    domain of this provider.
    """

    package = SAML_APP  # whose URLs are allauth's

    def read(self, response: Any) -> Profile:
        found = self._extract(response)
        subject = str(found.get("uid") or response.get_nameid())
        if len(subject) > MAX_SUBJECT:
            subject = hashlib.sha256(subject.encode()).hexdigest()
        email = str(found.get("email", "")).strip().lower()
        claims = {
            **response.get_attributes(),
            "sub": subject,
            "email": email,
            self.row.email_claim: email,
            self.row.name_claim: found.get("name", ""),
            "email_verified": SSODomain.objects.is_vouched_for(email, by=self.row),
        }
        return profile_of(self.row, claims)
