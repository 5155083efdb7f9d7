from django.urls import path

from apps.console.views import home

urlpatterns = [path("", home, name="home")]
