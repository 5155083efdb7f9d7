from django.urls import URLPattern, path

from apps.shares.pages import show
from apps.shares.views import PublicShareView, ShareListView, SharesView, ShareView

urlpatterns: list[URLPattern] = [
    path("conversations/<str:conversation_id>/share", SharesView.as_view()),
    path("conversations/<str:conversation_id>/shares", ShareListView.as_view()),
    path("conversations/<str:conversation_id>/shares/<str:share_id>", ShareView.as_view()),
    path("public/shares/<str:slug>", PublicShareView.as_view()),
]
page_urlpatterns: list[URLPattern] = [path("share/<str:slug>", show, name="share")]
