"""Signing in, projects, members, tokens."""

from __future__ import annotations

from django.contrib.auth import views as auth
from django.urls import path

from curation.views import projects

urlpatterns = [
    path("", projects.project_list, name="project-list"),
    path("sign-in/", auth.LoginView.as_view(template_name="curation/login.html"), name="login"),
    path("sign-out/", auth.LogoutView.as_view(), name="logout"),
    path("password/", projects.PasswordChange.as_view(), name="password-change"),
    path("projects/new/", projects.project_create, name="project-create"),
]

inside = [
    path("", projects.project_home, name="project-home"),
    path("settings/", projects.project_settings, name="project-settings"),
    path("settings/members/", projects.member_save, name="member-save"),
    path("settings/members/<int:pk>/remove/", projects.member_remove, name="member-remove"),
    path("settings/tokens/", projects.token_create, name="token-create"),
    path("settings/tokens/<int:pk>/revoke/", projects.token_revoke, name="token-revoke"),
    path("find/", projects.find, name="find"),
]
