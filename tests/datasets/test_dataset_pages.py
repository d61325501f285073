from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import Dataset, DatasetVersion, FilterVersion, Role, SavedFilter
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
    "kind": "sft",
    "name": "SFT",
    "statuses": ["accepted"],
    "revisions": "latest",
    "target": "none",
    "least_weight": "0.25",
    "most_weight": "4",
    "instruction_share": "0",
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


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"held_out": "2"}, "held_out", "less than or equal to 0.9"),
        ({"statuses": ["x"]}, "statuses", "not one of the available"),
        ({"weight_1": "0"}, "weight_1", "greater than or equal to 0.1"),
        ({"name": ""}, "name", "required"),
        ({"rules": "{"}, "rules", "no JSON"),
        ({"rules": '{"rule": "x"}'}, "rules", ""),
        ({"target": "by-hand", "share_1": "0.5"}, "share_1", "add up to 0.5"),
        ({"reach": ["quotas"]}, "reach", "no target"),
        ({"target": "pool", "reach": ["quotas"], "quota_1": "4"}, "quota_1", "choose one"),
        ({"evaluation_similarity": "0.1"}, "evaluation_similarity", "greater than or equal to 0.5"),
        ({"filter": "77"}, "filter", "not one of the available"),
    ],
)
def test_a_form_that_does_not_hold_makes_nothing_and_says_at_which_field(
    change: dict[str, Any], field: str, words: str
) -> None:
    project = make_project()
    client = sign_in(make_member(project, Role.CURATOR))
    page = client.post(reverse("curation:dataset-create", args=[project.slug]) + "?kind=sft", FORM | change)
    assert words in " ".join(page.context["form"].errors[field])
    preview = client.post(reverse("curation:dataset-preview", args=[project.slug]), FORM | change)
    assert preview.status_code == 200
    assert Dataset.objects.count() == 0


def test_the_preview_counts_rows_and_reasons_without_reading_documents(django_assert_max_num_queries: Any) -> None:
    project = make_project()
    make_pool(project, tasks=9, attempts=2, status="accepted")
    (refused,) = make_pool(project, tasks=1, status="rejected")
    client = sign_in(make_member(project, Role.CURATOR))
    place = reverse("curation:dataset-preview", args=[project.slug])
    with django_assert_max_num_queries(16) as captured:
        page = client.post(place, FORM | {"most_per_task": 1})
    assert not any('"document"' in query["sql"] for query in captured.captured_queries)
    preview = page.context["preview"]
    assert preview.train.rows + preview.held_out.rows == 9
    assert {line.reason: line.rows for line in preview.left_out} == {
        "review status: rejected": 1,
        "more than 1 of one task": 9,
    }
    assert b"<html" not in page.content
    form = client.get(reverse("curation:dataset-create", args=[project.slug])).content.decode()
    assert "novalidate" in form, "htmx previews no form that the browser calls invalid: one without a name yet"
    wrong = client.post(place, FORM | {"held_out": "x"})
    assert b"Held-out share: Enter a number" in wrong.content
    listed = client.post(
        reverse("curation:dataset-left-out", args=[project.slug]), FORM | {"why": "human|review status: rejected"}
    )
    assert [row.pk for row in listed.context["rows"]] == [refused.pk]


def test_every_kind_has_a_form_and_a_preview() -> None:
    project = make_project()
    make_pool(project, tasks=9, status="accepted")
    client = sign_in(make_member(project, Role.CURATOR))
    place = reverse("curation:dataset-create", args=[project.slug])
    for kind in Dataset.Kind.values:
        form = client.get(place, {"kind": kind}).context["form"]
        fields = {name: value for name, value in form.initial.items() if name in form.fields and value is not None}
        preview = client.post(reverse("curation:dataset-preview", args=[project.slug]), fields | {"kind": kind})
        assert preview.context["form"].errors == {}
        made = client.post(f"{place}?kind={kind}", fields | {"kind": kind, "name": kind})
        assert made.status_code == 302, made.context["form"].errors
    assert set(Dataset.objects.values_list("kind", flat=True)) == set(Dataset.Kind.values)


def test_a_copied_recipe_comes_back_as_it_was() -> None:
    project = make_project()
    access = owner_access(project)
    saved = SavedFilter.objects.create(project=project, name="Good ones", conditions={})
    rules = {"any": [{"rule": "outcome", "values": ["success"]}, {"rule": "band", "values": ["5"]}]}
    version = FilterVersion.objects.create(filter=saved, number=3, rules=rules)
    fields = FORM | {
        "filter": str(version.pk),
        "sources": ["expert", "human"],
        "rules": '{"not": {"rule": "band", "values": ["1", "2"]}}',
        "revisions": "corrected",
        "target": "by-hand",
        "reach": ["weights"],
        "share_1": "0.4",
        "share_5": "0.6",
        "weight_5": "",
        "evaluation_tasks": "b\na\n",
        "evaluation_tags": "held, out",
        "most_tokens": "100000",
        "instruction_share": "0.1",
    }
    client = sign_in(make_member(project, Role.CURATOR))
    place = reverse("curation:dataset-create", args=[project.slug])
    assert client.post(f"{place}?kind=sft", fields).status_code == 302
    dataset = Dataset.objects.get()
    assert dataset.recipe["filter"] == {"name": "Good ones", "version": 3}
    assert dataset.recipe["where"]["all"][0] == rules
    assert dataset.recipe["evaluation"]["tasks"] == ["a", "b"]
    copied = client.get(place, {"from": dataset.pk}).context["form"]
    assert copied.opened == {"filter", "difficulty", "limits", "evaluation"}
    again = {name: value for name, value in copied.initial.items() if value is not None and name in copied.fields}
    assert client.post(f"{place}?kind=sft", again | {"name": "copy"}).status_code == 302
    assert Dataset.objects.get(name="copy").recipe == dataset.recipe
    assert access.project == project


def test_the_difficulty_page_leads_to_a_form_with_its_target() -> None:
    project = make_project()
    client = sign_in(make_member(project, Role.CURATOR))
    place = reverse("curation:dataset-create", args=[project.slug])
    form = client.get(place, {"target": "uniform"}).context["form"]
    assert (form["target"].value(), form["reach"].value()) == ("uniform", ["weights"])
    assert "difficulty" in form.opened
    assert client.get(place, {"target": "<nothing>"}).context["form"]["target"].value() == "none"


def test_actions_are_counted_in_a_sample_of_the_rows() -> None:
    project, other = make_project(), make_project()
    (kept,) = make_pool(project, tasks=1, status="accepted")
    (foreign,) = make_pool(other, tasks=1, status="accepted")
    client = sign_in(make_member(project, Role.CURATOR))
    place = reverse("curation:dataset-actions", args=[project.slug])
    preview = client.post(reverse("curation:dataset-preview", args=[project.slug]), FORM | {"held_out": "0"})
    assert preview.context["sample"] == f"trajectories={kept.pk}"
    counted = client.get(place, {"trajectories": f"{kept.pk},{foreign.pk},x"}).context["counted"]
    assert counted.rows == 1
    assert {one.action: one.taught for one in counted.actions} == {"act: look": 1, "act: take": 1}


def test_the_preview_and_the_frozen_version_agree() -> None:
    version = make_version()
    client = make_client(version, Role.CURATOR)
    fields = FORM | {"seed": "0", "weight_5": ""}
    preview = client.post(reverse("curation:dataset-preview", args=[version.dataset.project.slug]), fields)
    frozen = client.get(reverse("curation:version-detail", args=[version.dataset.project.slug, version.pk]))
    for side in ("train", "held_out"):
        one, other = preview.context["preview"], frozen.context["preview"]
        assert getattr(one, side)[:2] == getattr(other, side)[:2]


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
    for name in ("dataset-create", "dataset-actions"):
        assert client.get(reverse(f"curation:{name}", args=[slug])).status_code == 403
    for name in ("dataset-create", "dataset-preview", "dataset-left-out"):
        assert client.post(reverse(f"curation:{name}", args=[slug])).status_code == 403
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


def test_a_row_is_shown_as_it_stands_in_the_file_and_a_long_one_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    version = make_version()
    slug, client = version.dataset.project.slug, make_client(version)
    place = reverse("curation:version-row", args=[slug, version.pk, "train", 0])
    page = client.get(place)
    assert "&quot;role&quot;: &quot;assistant&quot;" in page.content.decode()
    assert not page.context["long"]
    monkeypatch.setattr("curation.views.versions.SHOWN", 50)
    page = client.get(place)
    assert (page.context["long"], len(page.context["text"])) == (True, 50)
    for wrong in (["train", 10**6], ["test", 0]):
        assert client.get(reverse("curation:version-row", args=[slug, version.pk, *wrong])).status_code == 404


def test_what_was_left_out_is_listed_by_reason() -> None:
    project = make_project()
    make_pool(project, tasks=4, attempts=3, status="accepted")
    access = owner_access(project)
    recipe = {"kind": "sft", "held_out": 0, "most_per_task": 1}
    version = create_version(access, create_dataset(access, name="capped", recipe=recipe))
    freeze_version(version.pk)
    client = sign_in(make_member(project))
    place = reverse("curation:version-left-out", args=[project.slug, version.pk])
    assert len(client.get(place).context["page"].rows) == 8
    assert len(client.get(place, {"reason": "more than 1 of one task"}).context["page"].rows) == 8
    assert client.get(place, {"reason": "no"}).context["page"].rows == []
    detail = client.get(reverse("curation:version-detail", args=[project.slug, version.pk])).content.decode()
    assert f"{place}?reason=more%20than%201%20of%20one%20task" in detail


def test_a_version_of_an_earlier_release_is_still_shown() -> None:
    version = make_version()
    earlier = DatasetVersion.objects.create(
        dataset=version.dataset,
        number=7,
        state="done",
        recipe={"kind": "sft", "gone": 1},
        train_sha256=version.train_sha256,
        eval_sha256=version.eval_sha256,
        left_out={"another source": 3},
    )
    page = make_client(version).get(reverse("curation:version-detail", args=[version.dataset.project.slug, earlier.pk]))
    assert "3 another source" in " ".join(page.content.decode().split())
