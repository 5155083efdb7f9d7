"""The OpenAPI file and Swagger UI (drf-spectacular)."""

from typing import Any

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Jan Server",
    "DESCRIPTION": (
        "An OpenAI-compatible API in front of your models. Press **Authorize** and paste an API key, "
        "or the `access_token` of `POST /v1/auth/guest-login`.\n\n"
        "Every path also answers under `/api`, `/llm` and `/api/llm`. "
        "Chat completions are also served over WebSocket at `/ws/v1/chat/completions`."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "displayRequestDuration": True, "tryItOutEnabled": True},
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "PREPROCESSING_HOOKS": ["apps.chat.openapi.only_canonical"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.chat.openapi.add_inference",
        "apps.idempotency.openapi.add_header",
        "apps.user_settings.openapi.add_schemas",
    ],
    "TAGS": [
        {"name": "Inference", "description": "Calls to models, in OpenAI's shapes."},
        {"name": "Models", "description": "What can be called."},
        {"name": "Authentication", "description": "Who you are."},
        {"name": "API keys", "description": "Credentials for programs."},
        {"name": "Chat projects", "description": "Folders of conversations, with an instruction for the model."},
        {"name": "Shares", "description": "Conversations shown to whoever has a link."},
        {"name": "Stored completions", "description": "Model calls that were kept because their caller asked for it."},
        {"name": "User settings", "description": "What a person set for itself."},
        {"name": "Your data", "description": "All that a person owns: to have it, and to have it deleted."},
        {"name": "Organizations", "description": "Tenants: made, changed, handed on, deleted."},
        {"name": "Members", "description": "Who belongs to an organization, and as what."},
        {"name": "Invites", "description": "Mailed offers of a place in an organization, and their answers."},
        {"name": "Groups", "description": "People who get roles together."},
        {"name": "Roles", "description": "Rights that are given together, and who has them where."},
        {"name": "Projects", "description": "Where an organization's keys live and its usage is counted."},
        {"name": "Project members", "description": "Who has a place in a project."},
        {"name": "Service accounts", "description": "Programs' places in a project, and their keys."},
        {"name": "Operation", "description": "Health and version."},
    ],
    # Fields that are called alike and take other words.
    "ENUM_NAME_OVERRIDES": {
        "OrganizationRoleEnum": ["owner", "admin", "member", "viewer"],
        "ProjectRoleEnum": ["owner", "member", "viewer"],
        "ProjectRoleOrReaderEnum": ["owner", "member", "viewer", "reader"],
        "ServiceAccountRoleEnum": ["owner", "member", "viewer", "none"],
        "ApiKeyStatusEnum": ["active", "expired", "revoked"],
        "ManagedKeyStatusEnum": ["active", "expired"],
        "InviteStatusEnum": ["pending", "accepted", "expired"],
    },
}
