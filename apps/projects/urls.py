from django.urls import URLPattern, path

from apps.projects import invite_pages
from apps.projects.invite_views import AcceptView, DeclineView, InvitesView, InviteView, ResendView
from apps.projects.member_views import ProjectUsersView, ProjectUserView
from apps.projects.model_permission_views import ModelPermissionsView
from apps.projects.people_urls import organization_urlpatterns as people_urls
from apps.projects.people_urls import project_urlpatterns as project_urlpatterns
from apps.projects.project_views import ArchiveView, ProjectDetailView, ProjectsView, UnarchiveView
from apps.projects.views import UpgradeView

auth_urlpatterns = [path("upgrade", UpgradeView.as_view())]
organization_urlpatterns: list[URLPattern] = [
    *people_urls,
    path("invites", InvitesView.as_view()),
    path("invites/<str:invite_id>", InviteView.as_view()),
    path("invites/<str:invite_id>/resend", ResendView.as_view()),
    path("invites/<str:invite_id>/accept", AcceptView.as_view()),
    path("invites/<str:invite_id>/decline", DeclineView.as_view()),
    path("projects", ProjectsView.as_view()),
    path("projects/<str:project_id>", ProjectDetailView.as_view()),
    path("projects/<str:project_id>/archive", ArchiveView.as_view()),
    path("projects/<str:project_id>/unarchive", UnarchiveView.as_view()),
    path("projects/<str:project_id>/model_permissions", ModelPermissionsView.as_view()),
    path("projects/<str:project_id>/users", ProjectUsersView.as_view()),
    path("projects/<str:project_id>/users/<str:user_id>", ProjectUserView.as_view()),
]
# Beside the accounts' own, under accounts/.
page_urlpatterns = [
    path("invite/", invite_pages.show, name="invite"),
    path("invite/accept/", invite_pages.accept, name="invite_accept"),
    path("invite/decline/", invite_pages.decline, name="invite_decline"),
    path("invite/sign-out/", invite_pages.sign_out, name="invite_sign_out"),
    path("invite/joined/<slug:org_id>/", invite_pages.joined, name="invite_joined"),
]
