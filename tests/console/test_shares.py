"""Shares and stored completions in the admin: that they are there, and nothing of what they say."""

from __future__ import annotations

from django.test import Client

from apps.audit.models import AuditEvent
from apps.core.sealing import opener
from apps.shares.models import Share
from tests.console.test_admin import address, fill

LISTED = ("shares.Share", "completions.StoredCompletion")


def test_no_page_and_no_file_shows_a_word_or_a_link(admin_client: Client):
    rows = fill(1)
    pages = [
        admin_client.get(url).content.decode()
        for label in LISTED
        for url in (
            address(label, "changelist"),
            address(label, "change", rows[label].pk),
            *(address(label, "export", kind) for kind in ("csv", "json")),
        )
    ]
    share: Share = rows["shares.Share"]
    hidden = ("private-", share.slug(opener(share.organization.public_id)), share.slug_digest, share.sealed_slug)
    assert not [word for word in hidden for page in pages if word in page]
    assert all(row.public_id in page for row, page in zip((rows[label] for label in LISTED), pages[::4], strict=True))


def test_an_operator_revokes_a_share(admin_client: Client):
    share: Share = fill(1)["shares.Share"]
    slug = share.slug(opener(share.organization.public_id))
    assert Client().get(f"/v1/public/shares/{slug}").status_code == 200
    page = f"/admin/shares/share/{share.pk}/remove/"
    assert admin_client.get(page).status_code == 200
    assert Client().get(f"/v1/public/shares/{slug}").status_code == 200
    assert admin_client.post(page).status_code == 302
    assert Client().get(f"/v1/public/shares/{slug}").status_code == 404
    event = AuditEvent.objects.get(target_id=share.public_id)
    assert (event.action, event.actor_kind, event.organization) == (
        "share.deleted", "user", share.organization.public_id,
    )  # fmt: skip
    assert b">revoked<" in admin_client.get(address("shares.Share", "change", share.pk)).content.replace(
        b"\n", b""
    ).replace(b" ", b"")
