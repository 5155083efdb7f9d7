from django.urls import path

from apps.api_keys import pages
from apps.api_keys.audit_views import AuditLogsView
from apps.api_keys.identity_views import MeView, UserProfileView, ValidateApiKeyView, ValidateView
from apps.api_keys.organization_views import (
    AdminKeyRotationView,
    AdminKeysView,
    AdminKeyView,
    OrganizationKeyRotationView,
    OrganizationKeysView,
    OrganizationKeyView,
)
from apps.api_keys.project_views import ProjectKeyRotationView, ProjectKeysView, ProjectKeyView
from apps.api_keys.service_account_views import ServiceAccountKeysView, ServiceAccountsView, ServiceAccountView
from apps.api_keys.views import (
    ApiKeysView,
    ApiKeyView,
    RotationView,
    UserApiKeysView,
    UserApiKeyView,
    UserRotationView,
)

auth_urlpatterns = [
    path("me", MeView.as_view()),
    path("validate", ValidateView.as_view()),
    path("validate-api-key", ValidateApiKeyView.as_view()),
    path("api-keys", ApiKeysView.as_view()),
    path("api-keys/<str:key_id>", ApiKeyView.as_view()),
    path("api-keys/<str:key_id>/rotate", RotationView.as_view()),
]
user_urlpatterns = [
    path("profile", UserProfileView.as_view()),
    path("api-keys", UserApiKeysView.as_view()),
    path("api-keys/<str:key_id>", UserApiKeyView.as_view()),
    path("api-keys/<str:key_id>/rotate", UserRotationView.as_view()),
]
_IN_PROJECT = "projects/<str:project_id>/api_keys"
organization_urlpatterns = [
    path("audit_logs", AuditLogsView.as_view()),
    path("admin_api_keys", AdminKeysView.as_view()),
    path("admin_api_keys/<str:key_id>", AdminKeyView.as_view()),
    path("admin_api_keys/<str:key_id>/rotate", AdminKeyRotationView.as_view()),
    path("api_keys", OrganizationKeysView.as_view()),
    path("api_keys/<str:key_id>", OrganizationKeyView.as_view()),
    path("api_keys/<str:key_id>/rotate", OrganizationKeyRotationView.as_view()),
    path(_IN_PROJECT, ProjectKeysView.as_view()),
    path(f"{_IN_PROJECT}/<str:key_id>", ProjectKeyView.as_view()),
    path(f"{_IN_PROJECT}/<str:key_id>/rotate", ProjectKeyRotationView.as_view()),
    path("projects/<str:project_id>/service_accounts", ServiceAccountsView.as_view()),
    path("projects/<str:project_id>/service_accounts/<str:service_account_id>", ServiceAccountView.as_view()),
    path(
        "projects/<str:project_id>/service_accounts/<str:service_account_id>/api_keys", ServiceAccountKeysView.as_view()
    ),
]

# Under accounts/.
page_urlpatterns = [
    path("keys/", pages.own_keys, name="account_keys"),
    path("keys/new/", pages.choose_project, name="account_new_key"),
    path("keys/new/<str:project_id>/", pages.make_key, name="account_new_key_in"),
    path("keys/<str:key_id>/rotate/", pages.rotate_key, name="account_rotate_key"),
    path("keys/<str:key_id>/revoke/", pages.revoke_key, name="account_revoke_key"),
]
