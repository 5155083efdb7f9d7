from django.urls import path

from apps.accounts.views import GuestLoginView

auth_urlpatterns = [path("guest-login", GuestLoginView.as_view())]
