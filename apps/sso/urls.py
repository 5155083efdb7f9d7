from django.urls import path

from apps.sso import pages
from apps.sso.views import (
    GoogleCallbackView,
    GoogleLoginView,
    GoogleRedirectView,
    OIDCCallbackView,
    OIDCLoginView,
)

# allauth puts these below /accounts/.
urlpatterns = [
    path("sso/<slug:slug>/", pages.login, name="sso_login"),
    path("sso/<slug:slug>/callback/", pages.callback, name="sso_callback"),
]

# In the place of allauth's own.
page_urlpatterns = [
    path("email/", pages.email, name="account_email"),
    path("password/set/", pages.set_password, name="account_set_password"),
]

auth_urlpatterns = [
    path("google", GoogleRedirectView.as_view()),
    path("google/login", GoogleLoginView.as_view()),
    path("google/callback", GoogleCallbackView.as_view()),
    path("login", OIDCLoginView.as_view()),
    path("callback", OIDCCallbackView.as_view()),
]
