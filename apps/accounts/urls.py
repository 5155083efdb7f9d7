from allauth.account.views import password_reset_from_key
from django.urls import path, re_path

from apps.accounts import pages
from apps.accounts.token_views import LogoutView, RefreshTokenView, RefreshView, RevokeView
from apps.accounts.views import GuestLoginView

auth_urlpatterns = [
    path("guest-login", GuestLoginView.as_view()),
    path("refresh-token", RefreshTokenView.as_view()),
    path("refresh", RefreshView.as_view()),
    path("revoke", RevokeView.as_view()),
    path("logout", LogoutView.as_view()),
]

# Beside allauth's, under accounts/.
page_urlpatterns = [
    path("", pages.home, name="account_home"),
    re_path(r"^confirm-email/(?P<key>[-:\w]+)/$", pages.ConfirmEmailView.as_view(), name="account_confirm_email"),
    # allauth's own route knows user ids of letters and digits only; ours begin with `user_`.
    re_path(
        r"^password/reset/key/(?P<uidb36>user_[0-9A-Za-z]+)-(?P<key>.+)/$",
        password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path("invitation/<str:token>/", pages.follow_invitation, name="account_invitation"),
    path("sessions/everywhere/", pages.sign_out_elsewhere, name="account_sign_out_elsewhere"),
    path("sessions/<int:pk>/end/", pages.end_session, name="account_end_session"),
]
