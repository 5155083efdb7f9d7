from django.contrib import admin
from django.urls import path

from apps.console.acting import StopActing, act_as
from apps.console.views import home

urlpatterns = [
    path("", home, name="home"),
    path("acting/stop/", StopActing.as_view(http_method_names=["post"]), name="stop_acting"),
]
# Under admin/, before Django's own, which answer to everything there.
admin_urlpatterns = [path("act-as/<slug:user_id>/", admin.site.admin_view(act_as), name="act_as")]
