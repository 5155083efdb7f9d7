"""The OpenAPI file and Swagger UI (drf-spectacular)."""

SPECTACULAR_SETTINGS = {
    "TITLE": "Jan Server",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
