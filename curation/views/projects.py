"""Projects, their members and tokens, the command palette, and one's own password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.contrib.messages.views import SuccessMessageMixin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from curation.forms import MemberForm, ProjectForm, TokenForm, first_error
from curation.models import ApiToken, Membership, Role, User
from curation.permissions import access_project
from curation.selectors.projects import find_anything, list_members, list_projects, list_tokens
from curation.services.projects import create_project, remove_member, save_member
from curation.services.tokens import create_token, revoke_token


class PasswordChange(SuccessMessageMixin[PasswordChangeForm], PasswordChangeView):
    template_name = "curation/password_change.html"
    success_url = reverse_lazy("curation:project-list")
    success_message = "Your password is changed."


@require_GET
def project_list(request: HttpRequest) -> HttpResponse:
    return render(request, "curation/project_list.html", {"rows": list_projects(request.user)})


@require_http_methods(["GET", "POST"])
def project_create(request: HttpRequest) -> HttpResponse:
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)  # noqa: S101  # LoginRequiredMiddleware; narrows the type
        project = create_project(request.user, **form.cleaned_data)
        messages.success(request, f"{project.name} is ready. Import trajectories to begin.")
        return redirect("curation:import-list", project.slug)
    return render(request, "curation/project_create.html", {"form": form})


@require_GET
def project_home(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    return redirect("curation:queue-list" if access.is_reviewer else "curation:trajectory-list", project)


@require_http_methods(["GET", "POST"])
def project_settings(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project, Role.OWNER if request.method == "POST" else None)
    form = ProjectForm(request.POST or None, instance=access.project)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("curation:project-settings", project)
    return render(
        request,
        "curation/project_settings.html",
        {
            "form": form,
            "member_form": MemberForm(auto_id="member_%s"),
            "token_form": TokenForm(auto_id="token_%s"),
            "members": list_members(access),
            "tokens": list_tokens(access),
            "roles": Role.choices,
        },
    )


@require_POST
def member_save(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project, Role.OWNER)
    form = MemberForm(request.POST)
    if not form.is_valid():
        messages.error(request, first_error(form))
        return redirect("curation:project-settings", project)
    try:
        membership, password = save_member(access, **form.cleaned_data)
    except ValueError as error:
        messages.error(request, str(error))
        return redirect("curation:project-settings", project)
    if password is None:
        messages.success(request, f"{membership.user} is now: {', '.join(membership.roles)}.")
    else:
        messages.success(
            request, f"Account {membership.user} made. First password, shown only now: {password}", extra_tags="secret"
        )
    return redirect("curation:project-settings", project)


@require_POST
def member_remove(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.OWNER)
    membership = Membership.objects.filter(project=access.project, pk=pk).select_related("user").first()
    if membership is None:
        raise Http404("No such member in this project.")
    try:
        remove_member(access, membership)
        messages.success(request, f"{membership.user} is no longer a member.")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("curation:project-settings", project)


@require_POST
def token_create(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    form = TokenForm(request.POST)
    try:
        if not form.is_valid():
            raise ValueError(first_error(form))
        token, secret = create_token(access, **form.cleaned_data)
        messages.success(request, f"Token {token.name}, shown only now: {secret}", extra_tags="secret")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("curation:project-settings", project)


@require_POST
def token_revoke(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    token = ApiToken.objects.filter(project=access.project, pk=pk).first()
    if token is None or not (token.user_id == access.user.pk or access.is_owner):
        raise Http404("No such token of yours in this project.")
    revoke_token(access, token)
    messages.success(request, f"Token {token.name} no longer works.")
    return redirect("curation:project-settings", project)


@require_GET
def find(request: HttpRequest, project: str) -> HttpResponse:
    """What the command palette shows for `q`: pages, and whatever has that id, key or name."""
    access = access_project(request, project)
    query = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    found = find_anything(access, query)
    hits = [(hit.label, hit.detail, reverse(hit.url_name, args=[project, *hit.args])) for hit in found]
    return render(request, "curation/find.html", {"hits": hits, "query": query})
