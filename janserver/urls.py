"""Every route, under every prefix it answers to (contract, section 1)."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, register_converter
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from apps.accounts.urls import auth_urlpatterns as account_urls
from apps.accounts.urls import page_urlpatterns as account_pages
from apps.accounts.views import JWKSView
from apps.api_keys.urls import auth_urlpatterns as api_key_urls
from apps.api_keys.urls import organization_urlpatterns as organization_key_urls
from apps.api_keys.urls import page_urlpatterns as key_pages
from apps.api_keys.urls import user_urlpatterns as user_urls
from apps.console.tenant.lists import site as organization_site
from apps.console.urls import admin_urlpatterns
from apps.conversations.urls import conversation_urlpatterns
from apps.core.converters import OrganizationId
from apps.health.urls import root_urlpatterns as health_urls
from apps.organizations.urls import organization_urlpatterns as organization_urls
from apps.personal_data.urls import own_urlpatterns as own_data
from apps.personal_data.urls import page_urlpatterns as data_pages
from apps.projects.organization_views import OrganizationDetailView, OrganizationsView
from apps.projects.urls import auth_urlpatterns as upgrade_urls
from apps.projects.urls import organization_urlpatterns as organization_project_urls
from apps.projects.urls import page_urlpatterns as invite_pages
from apps.projects.urls import project_urlpatterns as project_urls
from apps.quotas.urls import organization_urlpatterns as organization_quota_urls
from apps.shares.urls import page_urlpatterns as share_pages
from apps.sso.urls import auth_urlpatterns as sso_urls
from apps.sso.urls import page_urlpatterns as sso_pages
from apps.usage.urls import organization_urlpatterns as organization_usage_urls
from apps.usage.urls import page_urlpatterns as usage_pages
from apps.user_settings.urls import own_urlpatterns as own_settings

register_converter(OrganizationId, "org")
admin.autodiscover()
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

auth = [*account_urls, *upgrade_urls, *sso_urls, *api_key_urls]
# What an organization has, at the caller's own and at the one a path names.
of_an_organization = [
    *organization_urls,
    *organization_project_urls,
    *organization_key_urls,
    *organization_quota_urls,
    *organization_usage_urls,
]
v1: list[URLPattern | URLResolver] = [
    path("auth/", include(auth)),
    path("user/", include(user_urls)),
    path("users/me/", include(own_settings)),
    path("", include(own_data)),
    path("organization", OrganizationsView.as_view()),
    path("organization/<org:org_id>", OrganizationDetailView.as_view()),
    path("organization/", include(of_an_organization)),
    path("organization/<org:org_id>/", include(of_an_organization)),
    path("projects/", include(project_urls)),
    path("", include("apps.conversations.chat_project_urls")),
    path("", include(conversation_urlpatterns)),
    path("", include("apps.completions.urls")),
    path("", include("apps.shares.urls")),
    path("", include("apps.catalog.urls")),
    path("", include("apps.health.urls")),
]
docs = [
    path("doc.json", SpectacularJSONAPIView.as_view(authentication_classes=(), permission_classes=()), name="schema"),
    path(
        "index.html",
        SpectacularSwaggerSplitView.as_view(url_name="schema", authentication_classes=(), permission_classes=()),
        name="swagger",
    ),
]

urlpatterns = [
    *health_urls,
    path(".well-known/jwks.json", JWKSView.as_view()),
    *(path(f"{prefix}v1/", include(v1)) for prefix in ("", "api/", "llm/", "api/llm/")),
    *(path(f"{prefix}auth/", include(auth)) for prefix in ("", "llm/")),
    path("api/swagger/", include(docs)),
    path("v1/swagger/", include((docs, "v1-docs"))),
    path("admin/", include(admin_urlpatterns)),
    path("admin/", admin.site.urls),
    path("organization/", organization_site.urls),
    path("accounts/", include(account_pages)),
    path("accounts/", include(invite_pages)),
    path("accounts/", include(sso_pages)),
    path("accounts/", include(key_pages)),
    path("accounts/", include(usage_pages)),
    path("accounts/", include(data_pages)),
    path("accounts/", include("allauth.urls")),
    path("", include(share_pages)),
    path("", include("apps.console.urls")),
]

handler400 = "apps.edge.pages.bad_request"
handler404 = "apps.core.http.errors.not_found"
handler429 = "apps.edge.pages.too_many_requests"  # allauth's name for it
handler500 = "apps.core.http.errors.server_error"
