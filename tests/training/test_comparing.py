"""The comparison: what differs, figures by band, the same steps; hostile text in all of it; and statistics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from curation.models import JobState, Project, Role
from curation.services.jobs import claim_job
from curation.statistics import wilson_interval
from tests.factories import make_member, make_project, owner_access
from tests.training.cast import make_checkpoint, make_run, make_version
from training.models import Checkpoint, Evaluation
from training.results import Evaluation as Result
from training.results import HeldOut, NextAction, Preference, PreferenceReport
from training.run_dir import write_evaluation
from training.selectors.comparison import find_differences, measure_all
from training.services.evaluations import evaluate_checkpoints
from training.services.outcomes import finish_evaluation

HOSTILE = "<script>alert(1)</script>\x1b[31m\0 <img src=x onerror=alert(1)>"


def make_result(*, loss: float, correct: int, words: str = "go") -> Result:
    preference = Preference(pairs=10, correct=correct, accuracy=correct / 10, margin=0.1)
    held_out = HeldOut(rows=12, tokens=120, loss=loss, token_accuracy=0.5, actions=12)
    actions = [
        NextAction(
            trajectory=7, revision=8, step=step, band=2, recorded="look", generated=words, exact=False, finished=True,
            prompt_cut=0,
        )
        for step in (2, 4)
    ]  # fmt: skip
    return Result(
        held_out=held_out,
        held_out_bands={"2": held_out, "none": HeldOut(rows=1, loss=9.0)},
        preference=PreferenceReport(bands={"2": preference}, total=preference),
        next_actions=actions,
        exact_next_actions=0,
        cut_prompts=0,
        skipped_rows=0,
        device="cpu",
        seconds=1.0,
    )


def add_result(checkpoint: Checkpoint, version: Any, result: Result) -> Evaluation:
    """Through the product's own path: the engine's file, then the row."""
    evaluation = Evaluation.objects.create(project=checkpoint.project, checkpoint=checkpoint, dataset_version=version)
    evaluation.directory.mkdir(parents=True, exist_ok=True)
    write_evaluation(evaluation.directory, result)
    claimed = claim_job(Evaluation, evaluation.pk)
    assert claimed is not None
    finish_evaluation(claimed)
    return evaluation


def make_models(project: Project) -> tuple[Checkpoint, Checkpoint]:
    first, second = make_run(project, max_steps=3), make_run(project, max_steps=9)
    base = make_checkpoint(project, "base")
    return (
        make_checkpoint(project, "first", kind="sft", run=first, parent=base),
        make_checkpoint(project, "second", kind="sft", run=second, parent=base),
    )


@pytest.mark.django_db
def test_only_what_differs_is_shown() -> None:
    first, second = make_models(make_project())
    differences = {difference.name: difference.values for difference in find_differences([first, second])}
    assert differences["max steps"] == ["3", "9"]
    assert set(differences) == {"max steps", "data"}
    assert first.parent is not None
    with_base = {difference.name for difference in find_differences([first.parent, first])}
    assert with_base == {"kind", "starts from", "data"}


@pytest.mark.django_db
def test_figures_line_up_by_band_and_by_step() -> None:
    project = make_project()
    first, second = make_models(project)
    version = make_version(project)
    add_result(first, version, make_result(loss=2.0, correct=5))
    (measured,) = measure_all([first, second], [version])
    assert measured.missing == [1]
    assert [cell.held_out is None for cell in measured.lines[-1].cells] == [False, True]
    add_result(second, version, make_result(loss=1.0, correct=9))
    (measured,) = measure_all([first, second], [version])
    assert [(line.band, line.is_total) for line in measured.lines] == [(2, False), (None, False), (None, True)]
    assert [cell.preference and cell.preference.correct for cell in measured.lines[0].cells] == [5, 9]
    assert [(line.step, len(line.actions)) for line in measured.actions] == [(2, 2), (4, 2)]


@pytest.mark.django_db
def test_a_comparison_page_escapes_what_models_wrote_and_names_what_is_missing() -> None:
    project = make_project()
    first, second = make_models(project)
    version = make_version(project)
    add_result(first, version, make_result(loss=2.0, correct=5, words=HOSTILE))
    client = Client()
    client.force_login(owner_access(project).user)
    address = reverse("training:compare", args=[project.slug])
    query = {"checkpoint": [first.pk, second.pk], "version": [version.pk]}
    page = client.get(address, query).content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\x1b" not in page
    assert "Evaluate what is missing" in page
    assert "n = 10" in page
    reviewer = make_member(project, Role.REVIEWER)
    client.force_login(reviewer.user)
    assert "Evaluate what is missing" not in client.get(address, query).content.decode()


@pytest.mark.django_db
def test_the_progress_of_evaluations_asks_for_the_page_again_when_all_have_ended() -> None:
    project = make_project()
    first, second = make_models(project)
    version = make_version(project)
    waiting = Evaluation.objects.create(project=project, checkpoint=first, dataset_version=version)
    client = Client()
    client.force_login(owner_access(project).user)
    address = reverse("training:compare-progress", args=[project.slug])
    query = {"checkpoint": [first.pk, second.pk], "version": [version.pk]}
    assert "HX-Refresh" not in client.get(address, query).headers
    Evaluation.objects.filter(pk=waiting.pk).update(state=JobState.DONE)
    assert client.get(address, query).headers["HX-Refresh"] == "true"


@pytest.mark.django_db
def test_a_comparison_over_rest_holds_the_same_figures() -> None:
    project = make_project()
    first, second = make_models(project)
    version = make_version(project)
    add_result(first, version, make_result(loss=2.0, correct=5))
    client = Client()
    client.force_login(owner_access(project).user)
    address = f"/api/v1/projects/{project.slug}/compare/"
    answer = client.get(f"{address}?checkpoint={first.pk}&checkpoint={second.pk}&version={version.pk}").json()
    total = answer["versions"][0]["bands"][-1]
    assert total["figures"][0]["held_out"]["loss"] == 2.0
    assert total["figures"][0]["preference"]["correct"] == 5
    assert total["figures"][1]["held_out"] is None
    assert client.get(f"{address}?checkpoint={first.pk}").status_code == 400
    assert client.get(f"{address}?checkpoint=a&checkpoint=b").status_code == 400


@pytest.mark.django_db
def test_an_evaluation_that_cannot_work_is_refused_with_the_reason() -> None:
    project = make_project()
    access = owner_access(project)
    gone = make_checkpoint(project, "gone")
    with pytest.raises(ValueError, match="holds no rows out"):
        evaluate_checkpoints(access, [gone], make_version(project, held_out=0))
    with pytest.raises(ValueError, match="only from below"):
        evaluate_checkpoints(access, [gone], make_version(project))
    assert not Evaluation.objects.exists()


@given(st.integers(1, 2000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_wilson_interval_holds_the_share_and_stays_within_0_and_1(share: tuple[int, int]) -> None:
    low, high = wilson_interval(*share)
    assert 0 <= low <= share[0] / share[1] + 1e-12
    assert share[0] / share[1] - 1e-12 <= high <= 1


def test_wilson_interval_agrees_with_published_values() -> None:
    low, high = wilson_interval(81, 263)  # Newcombe 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert tuple(round(bound, 4) for bound in wilson_interval(0, 20)) == (0.0, 0.1611)
    with pytest.raises(ValueError, match="not a share"):
        wilson_interval(1, 0)


def test_a_result_can_be_written_and_read_as_json() -> None:
    result = make_result(loss=1.0, correct=3, words=HOSTILE)
    assert Result.model_validate(json.loads(result.model_dump_json())) == result
