"""Models: what runs made, and what was put on the server by hand."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from curation.forms import first_error
from curation.models import Role
from curation.permissions import access_project
from curation.selectors.pages import BadCursor, take_page
from training.forms import CheckpointForm
from training.selectors.runs import list_checkpoints
from training.services.checkpoints import register_checkpoint


@require_GET
def checkpoint_list(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project)
    try:
        page = take_page(list_checkpoints(access), order="-id", cursor=request.GET.get("after"))
    except BadCursor as error:
        raise Http404(str(error)) from error
    return render(request, "training/checkpoint_list.html", {"page": page, "form": CheckpointForm()})


@require_POST
def checkpoint_create(request: HttpRequest, project: str) -> HttpResponse:
    access = access_project(request, project, Role.ENGINEER)
    form = CheckpointForm(request.POST)
    try:
        if not form.is_valid():
            raise ValueError(first_error(form))
        checkpoint = register_checkpoint(access, **form.cleaned_data)
        messages.success(request, f"{checkpoint} can be trained from now.")
    except ValueError as error:
        messages.error(request, str(error))
    return redirect("training:checkpoint-list", project)
