"""How e-mail addresses are spelled here."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, RegexValidator, validate_email

MAX_LENGTH = 254  # as long as the columns
_INVALID = "Enter a valid e-mail address."


def normalised(email: str) -> str:
    """
    Return the one spelling in which an address is stored, compared and counted.

    Lower case, and the domain as mail servers know it (RFC 5890's A-labels): many spellings are
    one mailbox. Raises ValidationError for what is no address, or one nothing can be mailed to.
    """
    local, _, domain = email.strip().rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode()}".lower()
    except UnicodeError:
        raise ValidationError(_INVALID, code="invalid") from None
    validate_email(plain)
    if not plain.isascii():  # validate_email takes the long s for an s
        raise ValidationError(_INVALID, code="invalid")
    return plain


def mailable(email: str) -> str:
    """As `normalised`, for an address that something will be mailed to and that will be stored."""
    MaxLengthValidator(MAX_LENGTH)(email)
    # Between quotes anything may stand, control characters too: no mail could be sent there.
    RegexValidator('"', inverse_match=True, message="Enter an address without quotes.")(email)
    plain = normalised(email)
    MaxLengthValidator(MAX_LENGTH)(plain)
    return plain
