from django.urls import path

from apps.personal_data import pages
from apps.personal_data.views import AccountView, ExportDownloadView, ExportView

# Under users/me.
own_urlpatterns = [
    path("users/me", AccountView.as_view()),
    path("users/me/export", ExportView.as_view()),
    path("users/me/export/<str:export_id>/download", ExportDownloadView.as_view()),
]

# Under accounts/.
page_urlpatterns = [path("delete/", pages.delete_account, name="account_delete")]
