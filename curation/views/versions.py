"""Frozen versions: what is in one, what is not and why, what changed since another, and taking it elsewhere."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from curation.jobs import freeze_version
from curation.models import Dataset, DatasetVersion, JobState, Role
from curation.models.dataset import Split
from curation.permissions import Access, access_project, get_version
from curation.recipe_words import describe_recipe
from curation.row_files import FORMATS
from curation.selectors.dataset_cards import TRAINERS
from curation.selectors.datasets import list_left_out_rows, list_rows, summarize_version
from curation.selectors.version_comparison import DIFFERENCES, compare_versions, list_differences
from curation.selectors.version_statistics import read_statistics
from curation.services.dataset_files import read_row
from curation.services.datasets import VersionInUse, list_uses, remove_version, retry_version
from curation.services.export_links import make_link
from curation.services.exports import CARD, FACTS, FILES, TAR, WHOLE
from curation.services.jobs import request_stop
from curation.views.difficulty import draw_stages
from curation.views.pages import page_context

TRAINABLE = (Dataset.Kind.SFT, Dataset.Kind.DPO)
"""What the engine of this product trains on; the other kinds are exported."""

SHOWN = 200_000
"""Characters of a row that a page shows; the file has all of it."""

LIFETIMES = {1: "an hour", 24: "a day", 24 * 7: "a week", 24 * 30: "30 days"}


@require_GET
def version_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project)
    version = get_version(access, pk)
    split = Split.EVAL if request.GET.get("split") == Split.EVAL else Split.TRAIN
    statistics = read_statistics(version)
    others = version.dataset.versions.filter(state=JobState.DONE).exclude(pk=version.pk).order_by("-number")
    context = page_context(request, list_rows(version).filter(split=split), order="position") | {
        "version": version,
        "dataset": version.dataset,
        "trainable": version.state == JobState.DONE and version.dataset.kind in TRAINABLE,
        "split": split,
        "splits": Split.choices,
        "counted": statistics,
        "recipe": describe_recipe(version.recipe),
        "plain": json.dumps(version.recipe, indent=2),
        "others": others[:50],
        "uses": list_uses(version),
    }
    if statistics:
        context["preview"] = statistics.preview
        context["sided"] = version.dataset.kind in (Dataset.Kind.DPO, Dataset.Kind.KTO, Dataset.Kind.REWARD)
        context["reports"] = [
            ("As the filter took it", statistics.preview.before),
            ("As it is trained on", statistics.preview.after),
        ]
        context["stages"] = draw_stages(statistics.preview.stages, linked=False)
    elif version.state == JobState.DONE:
        context["stats"] = summarize_version(version)  # frozen before anything was counted then
    if version.state == JobState.DONE:
        context |= list_exports(request, version)
    return render(request, "curation/version_detail.html", context)


@require_POST
def version_stop(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    version = get_version(access, pk)
    if not request_stop(version):
        messages.warning(request, f"Version {version.number} had ended already.")
    return redirect("curation:dataset-detail", project, version.dataset_id)


@require_POST
def version_retry(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    version = get_version(access, pk)
    try:
        retry_version(access, version)
    except ValueError as error:
        messages.error(request, str(error))
    else:
        freeze_version.delay_on_commit(version.pk)
        messages.success(request, f"Version {version.number} is being frozen.")
    return redirect("curation:dataset-detail", project, version.dataset_id)


@require_POST
def version_remove(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    access = access_project(request, project, Role.CURATOR)
    version = get_version(access, pk)
    try:
        remove_version(access, version)
    except VersionInUse as error:
        messages.error(request, str(error))
        return redirect("curation:version-detail", project, pk)
    messages.success(request, f"Version {version.number} is removed.")
    return redirect("curation:dataset-detail", project, version.dataset_id)


@require_POST
def version_link(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A link to one file that works without signing in; it is shown once."""
    access = access_project(request, project)
    version = get_version(access, pk)
    file, hours = request.POST.get("file", ""), request.POST.get("hours", "")
    try:
        link = make_link(access, version, file, hours=int(hours) if hours.isdecimal() and len(hours) < 6 else 0)
    except (ValueError, FileNotFoundError) as error:
        gone = isinstance(error, FileNotFoundError)
        messages.error(request, "The file of this version is gone from the server." if gone else str(error))
        return redirect("curation:version-detail", project, pk)
    address = request.build_absolute_uri(reverse("api-export-link", args=[link.token, file]))
    context = {"version": version, "file": file, "address": address, "ends_at": link.ends_at}
    return render(request, "curation/version_link.html", context)


@require_GET
def version_row(request: HttpRequest, project: str, pk: int, split: str, position: int) -> HttpResponse:
    """A row as it stands in the file."""
    version = get_version(access_project(request, project), pk)
    row = list_rows(version).filter(split=split, position=position).first()
    if row is None:
        raise Http404("There is no such row.")
    try:
        line = read_row(version.train_sha256 if split == Split.TRAIN else version.eval_sha256, position).decode()
    except (FileNotFoundError, IndexError) as error:
        raise Http404("The file of this version is gone from the server.") from error
    long = len(line) > SHOWN
    text = line[:SHOWN] if long else json.dumps(json.loads(line), ensure_ascii=False, indent=2)
    context = {"version": version, "row": row, "text": text, "long": long, "size": len(line), "shown": SHOWN}
    return render(request, "curation/version_row.html", context)


@require_GET
def version_left_out(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """What fitted the filter and is not in the version: all of it, or for one `reason`."""
    version = get_version(access_project(request, project), pk)
    rows, reason = list_left_out_rows(version), request.GET.get("reason", "")
    if reason:
        rows = rows.filter(reason=reason)
    context = page_context(request, rows, order="id") | {"version": version, "reason": reason}
    return render(request, "curation/version_left_out.html", context)


@require_GET
def version_compare(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """What changed between two versions; `with` names the other, `kind` the difference whose rows are listed."""
    access = access_project(request, project)
    version, other = get_version(access, pk), _get_other(access, request.GET.get("with", ""))
    if other is None or other.dataset_id != version.dataset_id:
        raise Http404("There is no such version of this dataset.")
    for one in (version, other):
        if one.state != JobState.DONE:
            messages.error(request, f"Version {one.number} is not frozen: there is nothing to compare.")
            return redirect("curation:version-detail", project, pk)
    comparison = compare_versions(version, other)
    kind = request.GET.get("kind", "")
    context: dict[str, Any] = {
        "comparison": comparison,
        "dataset": version.dataset,
        "differences": [(name, words, comparison.counts[name]) for name, words in DIFFERENCES.items()],
        "unhashed": not (comparison.older.software and comparison.newer.software),
    }
    if kind in DIFFERENCES:
        rows = list_differences(comparison.older, comparison.newer, kind)
        context |= page_context(request, rows, order="id") | {"kind": kind, "kind_words": DIFFERENCES[kind]}
    return render(request, "curation/version_compare.html", context)


def list_exports(request: HttpRequest, version: DatasetVersion) -> dict[str, Any]:
    """What `parts/dataset_export.html` shows: each format with its addresses, and the choices for a link."""
    slug = version.dataset.project.slug

    def address(file: str) -> str:
        return request.build_absolute_uri(reverse("api-version-file", args=[slug, version.pk, file]))

    formats = [
        {
            "label": one.label,
            "suffix": one.suffix,
            "loader": one.loader,
            "train": address(f"{Split.TRAIN.value}.{one.suffix}"),
            "eval": address(f"{Split.EVAL.value}.{one.suffix}"),
            "whole": address(f"{WHOLE}.{one.suffix}.{TAR}"),
        }
        for one in FORMATS.values()
    ]
    return {
        "formats": formats,
        "card": address(CARD),
        "facts": address(FACTS),
        "files": FILES,
        "lifetimes": LIFETIMES,
        "trainer": TRAINERS[version.dataset.kind],
    }


def _get_other(access: Access, pk: str) -> DatasetVersion | None:
    return get_version(access, int(pk)) if pk.isdecimal() and len(pk) < 16 else None
