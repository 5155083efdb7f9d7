from django.urls import path

from apps.user_settings.views import UserSettingsView

# Under users/me/.
own_urlpatterns = [path("settings", UserSettingsView.as_view())]
