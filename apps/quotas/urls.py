from django.urls import URLPattern

organization_urlpatterns: list[URLPattern] = []
