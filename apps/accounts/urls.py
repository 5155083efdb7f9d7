from django.urls import path

from apps.accounts.token_views import LogoutView, RefreshTokenView, RefreshView, RevokeView
from apps.accounts.views import GuestLoginView

auth_urlpatterns = [
    path("guest-login", GuestLoginView.as_view()),
    path("refresh-token", RefreshTokenView.as_view()),
    path("refresh", RefreshView.as_view()),
    path("revoke", RevokeView.as_view()),
    path("logout", LogoutView.as_view()),
]
