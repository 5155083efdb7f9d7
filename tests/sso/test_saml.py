"""SAML where its extra is installed (`requirements-saml.txt`): assertions signed by a key of the test's own."""

from __future__ import annotations

import base64
import datetime
import zlib
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.test import Client

from apps.accounts.models import User
from apps.sso.models import IdentityProvider, ProviderKind, SSODomain
from tests.sso.conftest import add_user
from tests.sso.test_pages import signed_in

saml = pytest.importorskip("onelogin.saml2.utils", reason="requirements-saml.txt is not installed")
ISSUER, SSO_URL = "urn:acme:idp", "https://id.acme.com/saml/sso"
ACS, METADATA = "http://testserver/accounts/saml/acme/acs/", "http://testserver/accounts/saml/acme/metadata/"
HOST = {"host": "testserver"}


class Signer:
    def __init__(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def sign(self, xml: str) -> str:
        algorithms = ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmlenc#sha256")
        signed = saml.OneLogin_Saml2_Utils.add_sign(xml, self.key, self.certificate, False, *algorithms)
        return signed.decode() if isinstance(signed, bytes) else str(signed)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def acme(db: None, signer: Signer) -> IdentityProvider:
    return IdentityProvider.objects.create(
        slug="acme",
        name="Acme",
        kind=ProviderKind.SAML,
        issuer=ISSUER,
        sso_url=SSO_URL,
        certificate=signer.certificate,
    )


@pytest.fixture
def domain(acme: IdentityProvider) -> SSODomain:
    owner = add_user("owner@elsewhere.test")
    organization = owner.memberships.get().organization
    return SSODomain.objects.create(organization=organization, domain="acme.com", provider=acme, is_required=False)


def begin(client: Client) -> str:
    """Go to the provider; returns the id of the request it gets."""
    answer = client.post("/accounts/sso/acme/", headers=HOST)
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, SSO_URL)
    request = parse_qs(urlsplit(answer["Location"]).query)["SAMLRequest"][0]
    return str(ElementTree.fromstring(zlib.decompress(base64.b64decode(request), -15)).attrib["ID"])


def response(signer: Signer | None, request_id: str, email: str = "ada@acme.com", **change: Any) -> str:
    def at(minutes: int) -> str:
        return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )

    given = {"issuer": ISSUER, "audience": METADATA, "recipient": ACS, "until": at(5), "name_id": "u-1"} | change
    replies = f'InResponseTo="{request_id}"' if request_id else ""
    spaces = 'xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"'
    assertion = f"""<saml:Assertion {spaces} ID="_a1" Version="2.0" IssueInstant="{at(0)}"><saml:Issuer>{given["issuer"]}</saml:Issuer>
<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">{given["name_id"]}</saml:NameID>
<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="{given["until"]}"
 Recipient="{given["recipient"]}" {replies}/></saml:SubjectConfirmation></saml:Subject>
<saml:Conditions NotBefore="{at(-5)}" NotOnOrAfter="{given["until"]}"><saml:AudienceRestriction><saml:Audience>{given["audience"]}</saml:Audience>
</saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="{at(0)}" SessionIndex="_s1"><saml:AuthnContext>
<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>
<saml:AttributeStatement><saml:Attribute Name="email"><saml:AttributeValue>{email}</saml:AttributeValue></saml:Attribute>
<saml:Attribute Name="displayName"><saml:AttributeValue>Ada Lovelace</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>"""
    inner = signer.sign(assertion) if signer is not None else assertion
    whole = f"""<samlp:Response {spaces} ID="_r1" Version="2.0" IssueInstant="{at(0)}" Destination="{given["recipient"]}" {replies}>
<saml:Issuer>{given["issuer"]}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>
{inner.replace('<?xml version="1.0"?>', "").strip()}</samlp:Response>"""
    return base64.b64encode(whole.encode()).decode()


def finish(client: Client, message: str) -> Any:
    posted = client.post("/accounts/saml/acme/acs/", {"SAMLResponse": message}, headers=HOST)
    assert posted.status_code == 302
    return client.get(posted["Location"], headers=HOST)


def test_a_person_of_the_providers_domain_signs_in(domain: SSODomain, client: Client, signer: Signer):
    assert b"Continue with Acme" in client.get("/accounts/login/").content
    confirm = client.get("/accounts/sso/acme/")
    assert "form-action 'self' https://id.acme.com" in confirm["Content-Security-Policy"]
    answer = finish(client, response(signer, begin(client)))
    assert answer.status_code == 302, answer.content
    user = User.objects.get(pk=signed_in(client))
    assert (user.email, user.name) == ("ada@acme.com", "Ada Lovelace")
    assert [(each.provider, each.uid) for each in SocialAccount.objects.all()] == [("acme", "u-1")]


def test_an_address_of_another_domain_is_not_vouched_for(domain: SSODomain, client: Client, signer: Signer):
    answer = finish(client, response(signer, begin(client), email="op@example.com"))
    assert (answer.status_code, signed_in(client)) == (403, None)
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"audience": "urn:somebody-else"}, {"recipient": "http://testserver/accounts/saml/other/acs/"},
        {"issuer": "urn:attacker"}, {"until": "2020-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_an_assertion_for_something_else_is_refused(domain: SSODomain, client: Client, signer: Signer, change: Any):
    answer = finish(client, response(signer, begin(client), **change))
    assert (answer.status_code, signed_in(client)) == (401, None)
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("who", ["nobody", "a stranger"])
def test_an_assertion_not_signed_by_the_provider_is_refused(domain: SSODomain, client: Client, who: str):
    answer = finish(client, response(Signer() if who == "a stranger" else None, begin(client)))
    assert (answer.status_code, signed_in(client)) == (401, None)


def test_an_assertion_nobody_asked_for_is_refused(domain: SSODomain, client: Client, signer: Signer):
    assert finish(client, response(signer, "")).status_code == 401
    assert finish(client, response(signer, "_made_up")).status_code == 403
    message = response(signer, begin(client))
    finish(client, message)
    client.post("/accounts/logout/")
    assert finish(client, message).status_code == 403  # a second time
    assert signed_in(client) is None


def test_a_disabled_provider_has_no_pages(domain: SSODomain, client: Client):
    IdentityProvider.objects.update(is_enabled=False)
    for page in ("/accounts/sso/acme/", "/accounts/saml/acme/login/", "/accounts/saml/acme/metadata/"):
        assert client.get(page, headers=HOST).status_code == 404
