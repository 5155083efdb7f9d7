"""The look of the operator's admin (django-unfold)."""

UNFOLD = {
    "SITE_TITLE": "Jan Server",
    "SITE_HEADER": "Jan Server",
}
