from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import Dataset, DatasetVersion, Role
from curation.services.datasets import create_dataset, create_version, freeze_version
from tests.datasets.cast import make_pool
from tests.factories import make_member, make_project, owner_access
from tests.pairs.cast import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.HOME = tmp_path


def make_version(**fields: Any) -> DatasetVersion:
    project = make_project()
    make_pool(project, tasks=8, status="accepted")
    access = owner_access(project)
    dataset = create_dataset(access, name="<b>data</b>", recipe={"kind": "sft", "held_out": 0.3, **fields})
    version = create_version(access, dataset)
    freeze_version(version.pk)
    return DatasetVersion.objects.select_related("dataset__project").get(pk=version.pk)


def make_client(version: DatasetVersion, *roles: str) -> Client:
    return sign_in(make_member(version.dataset.project, *roles))


FORM = {
    "name": "SFT",
    "statuses": ["accepted"],
    "held_out": "0.3",
    "seed": "4",
    "weight_5": "2",
    "skip_wrong_steps": "on",
}


def test_a_dataset_is_made_from_the_form() -> None:
    project = make_project()
    client = sign_in(make_member(project, Role.CURATOR))
    address = reverse("curation:dataset-create", args=[project.slug])
    assert client.get(address).status_code == client.get(address, {"kind": "dpo"}).status_code == 200
    made = client.post(f"{address}?kind=sft", FORM)
    dataset = Dataset.objects.get()
    assert made["Location"] == reverse("curation:dataset-detail", args=[project.slug, dataset.pk])
    assert (dataset.kind, dataset.recipe["seed"], dataset.recipe["band_weights"]) == ("sft", 4, {"5": 2.0})
    again = client.post(f"{address}?kind=sft", FORM)
    assert b"There is a dataset named" in again.content
    copy = client.get(address, {"from": dataset.pk}).context["form"]
    assert (copy["seed"].value(), copy["weight_5"].value()) == (4, 2.0)


@pytest.mark.parametrize("change", [{"held_out": "2"}, {"statuses": []}, {"weight_1": "0"}, {"name": ""}])
def test_a_form_that_does_not_hold_makes_nothing(change: dict[str, Any]) -> None:
    project = make_project()
    client = sign_in(make_member(project, Role.CURATOR))
    page = client.post(reverse("curation:dataset-create", args=[project.slug]) + "?kind=sft", FORM | change)
    assert page.status_code == 200
    assert Dataset.objects.count() == 0


def test_the_preview_counts_rows_and_reasons_without_reading_documents(django_assert_max_num_queries: Any) -> None:
    project = make_project()
    make_pool(project, tasks=9, attempts=2, status="accepted")
    make_pool(project, tasks=1, status="rejected")
    client = sign_in(make_member(project, Role.CURATOR))
    with django_assert_max_num_queries(10) as captured:
        page = client.get(reverse("curation:dataset-preview", args=[project.slug]), FORM | {"most_per_task": 1})
    assert not any('"document"' in query["sql"] for query in captured.captured_queries)
    stats = page.context["stats"]
    assert stats.train.rows + stats.held_out.rows == 9
    assert dict(stats.left_out) == {"review status: rejected": 1, "more than 1 of one task": 9}
    assert b"<html" not in page.content
    form = client.get(reverse("curation:dataset-create", args=[project.slug])).content.decode()
    assert "novalidate" in form, "htmx previews no form that the browser calls invalid: one without a name yet"
    wrong = client.get(reverse("curation:dataset-preview", args=[project.slug]), FORM | {"held_out": "x"})
    assert b"Enter a number" in wrong.content


def test_the_preview_and_the_frozen_version_agree() -> None:
    version = make_version()
    client = make_client(version, Role.CURATOR)
    fields = {"statuses": ["accepted"], "held_out": "0.3", "seed": "0"}
    preview = client.get(reverse("curation:dataset-preview", args=[version.dataset.project.slug]), fields)
    frozen = client.get(reverse("curation:version-detail", args=[version.dataset.project.slug, version.pk]))
    for side in ("train", "held_out"):
        one, other = (getattr(page.context["stats"], side) for page in (preview, frozen))
        assert (one.rows, one.tasks, one.bands) == (other.rows, other.tasks, other.bands)


def test_freezing_sends_the_job_and_a_double_click_is_told(django_capture_on_commit_callbacks: Any) -> None:
    project = make_project()
    dataset = create_dataset(owner_access(project), name="data", recipe={"kind": "sft"})
    client = sign_in(make_member(project, Role.CURATOR))
    address = reverse("curation:dataset-freeze", args=[project.slug, dataset.pk])
    with django_capture_on_commit_callbacks() as sent:
        client.post(address)
        page = client.post(address, follow=True).content.decode()
    assert len(sent) == 1
    assert "being frozen already" in page
    assert 'hx-trigger="every 1s"' in page
    version = DatasetVersion.objects.get()
    assert client.post(reverse("curation:version-stop", args=[project.slug, version.pk])).status_code == 302
    detail = client.get(reverse("curation:dataset-detail", args=[project.slug, dataset.pk]))
    assert "every 1s" not in detail.content.decode()


def test_a_version_shows_its_rows_hash_recipe_and_where_to_train() -> None:
    version = make_version()
    project = version.dataset.project
    page = make_client(version, Role.ENGINEER).get(reverse("curation:version-detail", args=[project.slug, version.pk]))
    words = page.content.decode()
    assert version.content_hash in words
    assert "<b>data</b>" not in words
    assert reverse("training:run-create", args=[project.slug]) + f"?version={version.pk}" in words
    assert f"/api/v1/projects/{project.slug}/versions/{version.pk}/train.jsonl" in words
    held_out = make_client(version).get(page.request["PATH_INFO"], {"split": "eval"})
    assert {row.split for row in held_out.context["page"].rows} == {"eval"}
    assert b"Train on it" not in held_out.content


def test_ids_of_another_project_are_not_found() -> None:
    version, project = make_version(), make_project()
    client = sign_in(make_member(project, Role.CURATOR, Role.ENGINEER))
    for name, pk in (("dataset-detail", version.dataset_id), ("version-detail", version.pk)):
        assert client.get(reverse(f"curation:{name}", args=[project.slug, pk])).status_code == 404
    for name, pk in (("dataset-freeze", version.dataset_id), ("version-stop", version.pk)):
        assert client.post(reverse(f"curation:{name}", args=[project.slug, pk])).status_code == 404
    copied = client.get(reverse("curation:dataset-create", args=[project.slug]), {"from": version.dataset_id})
    assert copied.status_code == 404


def test_a_reviewer_reads_datasets_but_makes_and_freezes_none() -> None:
    version = make_version()
    slug = version.dataset.project.slug
    client = make_client(version, Role.REVIEWER)
    assert client.get(reverse("curation:dataset-list", args=[slug])).status_code == 200
    for name, args in (("dataset-create", [slug]), ("dataset-preview", [slug])):
        assert client.get(reverse(f"curation:{name}", args=args)).status_code == 403
    for name, pk in (("dataset-freeze", version.dataset_id), ("version-stop", version.pk)):
        assert client.post(reverse(f"curation:{name}", args=[slug, pk])).status_code == 403


def test_lists_take_few_statements_and_read_no_document(django_assert_max_num_queries: Any) -> None:
    version = make_version()
    slug, client = version.dataset.project.slug, make_client(version)
    addresses = [
        reverse("curation:dataset-list", args=[slug]),
        reverse("curation:dataset-detail", args=[slug, version.dataset_id]),
        reverse("curation:version-detail", args=[slug, version.pk]),
    ]
    for address in addresses:
        with django_assert_max_num_queries(14) as captured:
            assert client.get(address).status_code == 200
        assert not any('"document"' in query["sql"] for query in captured.captured_queries)
