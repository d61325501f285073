from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curation import bias
from curation.bias import Target
from curation.difficulty import BANDS
from curation.models import Dataset, DatasetRow, DatasetVersion, Project, Queue, Revision, Task, Trajectory
from curation.selectors import difficulty
from curation.selectors.difficulty import count_failures, measure_difficulty
from curation.services.difficulty_fits import queue_fit, run_fit
from curation.services.rescue import rescue_band
from curation.services.targets import set_target
from curation.waterfall import Stage, dump_stages
from tests.difficulty.cast import add_attempts, add_tasks
from tests.factories import make_project, owner_access

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def freeze(project: Project, rows: list[tuple[Trajectory, float]], **statistics: Any) -> DatasetVersion:
    """A version with these training rows and their weights, as rows: nothing is read."""
    number = Dataset.objects.filter(project=project).count() + 1
    dataset = Dataset.objects.create(project=project, name=f"Set {number}", kind="sft", recipe={})
    version = DatasetVersion.objects.create(dataset=dataset, number=1, recipe={}, state="done", statistics=statistics)
    for place, (attempt, weight) in enumerate(rows):
        revision, _ = Revision.objects.get_or_create(trajectory=attempt, number=0, defaults={"document": {}})
        DatasetRow.objects.create(
            version=version, split="train", position=place, task=attempt.task, revision=revision,
            band=attempt.task.band, weight=weight, characters=attempt.agent_character_count,
        )  # fmt: skip
    return version


def test_a_planted_bias_is_recovered_through_attempts_pass_rates_and_selection(project: Project) -> None:
    """The meter's self-test: rows come in as attempts, the job finds their bands, and what is accepted leaves out more
    of the hard tasks than of the easy ones, by a bias that is known."""
    random = np.random.default_rng(20)
    successes = {1: 10, 2: 8, 3: 5, 4: 2, 5: 0}  # of 10: .95, .77, .50, .23, .05
    kept = {1: 0.9, 2: 0.7, 3: 0.5, 4: 0.3, 5: 0.1}
    planted = sum(abs(chance / sum(kept.values()) - 0.2) for chance in kept.values()) / 2
    chosen = []
    for band in BANDS:
        for task in add_tasks(project, 100):
            attempts = add_attempts(task, 10, won=successes[band], agent_character_count=400)
            if random.random() < kept[band]:
                chosen += [attempt.pk for attempt in attempts]
    Trajectory.objects.filter(pk__in=chosen).update(status="accepted")
    run_fit(queue_fit(project).pk)
    assert {band: Task.objects.filter(band=band).count() for band in BANDS} == dict.fromkeys(BANDS, 100)
    report = measure_difficulty(project).find("accepted").report
    assert report.low is not None
    assert report.high is not None
    assert report.low <= planted <= report.high
    assert report.high - report.low < 0.15
    assert report.low > 0.1
    assert report.shift is not None
    assert report.shift > 0.1  # easier than the pool
    assert report.flagged == [4, 5]
    ratios = {band: ratio for band, ratio in report.retention.items() if ratio is not None}
    assert ratios == pytest.approx({band: chance / 0.5 for band, chance in kept.items()}, abs=0.25)


def test_each_stage_counts_what_reached_it_in_every_unit(project: Project) -> None:
    (easy,) = add_tasks(project, 1, band=1)
    (hard,) = add_tasks(project, 1, band=5)
    won = add_attempts(easy, 3, won=3, agent_character_count=40)
    lost = add_attempts(hard, 3, won=0, agent_character_count=80)
    Trajectory.objects.filter(pk__in=[won[0].pk, won[1].pk]).update(status="accepted")
    Trajectory.objects.filter(pk=won[2].pk).update(status="rejected")
    Trajectory.objects.filter(pk=lost[0].pk).update(status="accepted", head_number=1)  # corrected
    Trajectory.objects.filter(pk=lost[1].pk).update(status="rejected")
    add_attempts(hard, 1, won=0, agent_character_count=80, completion="crashed")

    def stages(unit: str) -> dict[str, tuple[float, float]]:
        found = measure_difficulty(project, unit=unit).stages
        return {stage.stage: (stage.bands[1], stage.bands[5]) for stage in found}

    assert stages("attempts") == {"collected": (3, 3), "success": (3, 0), "reviewed": (3, 1), "accepted": (2, 1)}
    assert stages("tokens") == {"collected": (30, 60), "success": (30, 0), "reviewed": (30, 20), "accepted": (20, 20)}
    assert stages("tasks") == {"collected": (1, 1), "success": (1, 0), "reviewed": (1, 1), "accepted": (1, 1)}
    assert measure_difficulty(project).stages[3].lost[1] == 10


def test_characters_of_the_whole_stand_in_where_the_agents_own_were_not_counted(project: Project) -> None:
    (task,) = add_tasks(project, 1, band=2)
    add_attempts(task, 1, character_count=400)
    add_attempts(task, 1, character_count=400, agent_character_count=100)
    assert measure_difficulty(project).pool[2] == 125


def test_a_dataset_counts_by_the_weight_of_its_training_rows(project: Project) -> None:
    (easy,) = add_tasks(project, 1, band=1, pass_rate=0.9)
    (hard,) = add_tasks(project, 1, band=5, pass_rate=0.1)
    (one,), (other,) = (
        add_attempts(easy, 1, agent_character_count=400),
        add_attempts(hard, 1, agent_character_count=400),
    )
    version = freeze(project, [(one, 0.5), (other, 1.5)])
    DatasetRow.objects.create(
        version=version, split="eval", position=0, task=easy, revision=one.revisions.get(), characters=9999
    )
    chosen = measure_difficulty(project).find(f"dataset-{version.dataset_id}")
    assert (chosen.amounts[1], chosen.amounts[5], chosen.version) == (50, 150, version.pk)
    assert chosen.report.bias == pytest.approx(0.25)
    assert chosen.report.shift == pytest.approx((0.9 + 3 * 0.1) / 4 - 0.5)
    assert measure_difficulty(project, unit="attempts").find(chosen.name).report.bias == 0


def test_only_the_newest_frozen_version_of_each_dataset_is_measured(project: Project) -> None:
    (task,) = add_tasks(project, 1, band=1)
    (attempt,) = add_attempts(task, 1, agent_character_count=400)
    version = freeze(project, [(attempt, 1.0)])
    newer = DatasetVersion.objects.create(dataset=version.dataset, number=2, recipe={}, state="done")
    DatasetVersion.objects.create(dataset=version.dataset, number=3, recipe={}, state="failed")
    found = measure_difficulty(project).selections
    assert [(one.label, one.version) for one in found] == [("Accepted", None), ("Set 1 v2", newer.pk)]


def test_the_stages_of_a_version_are_shown_as_they_were_frozen(project: Project) -> None:
    (task,) = add_tasks(project, 1, band=1)
    (attempt,) = add_attempts(task, 1)
    bands = dict.fromkeys((*BANDS, None), 0.0) | {1: 10.0}
    stage = Stage("cap", "Cap per task", bands, dict.fromkeys(bands, 0.0), {band: int(n) for band, n in bands.items()})
    version = freeze(project, [(attempt, 1.0)], preview={"stages": dump_stages([stage])})
    assert measure_difficulty(project).find(f"dataset-{version.dataset_id}").stages == (stage,)


def test_another_target_is_measured_against_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.selectors.queues.LARGE", 0)  # so that even this is kept for a while
    (easy,) = add_tasks(project, 1, band=1)
    add_attempts(easy, 1, status="accepted", agent_character_count=4)
    assert measure_difficulty(project).find("accepted").report.bias == 0
    set_target(owner_access(project), Target(kind="uniform"))
    assert measure_difficulty(project).find("accepted").report.bias == pytest.approx(0.8)
    assert measure_difficulty(project).find("accepted").report.unreachable == (2, 3, 4, 5)


def test_a_large_project_is_not_measured_at_every_look(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.selectors.queues.LARGE", 0)
    (task,) = add_tasks(project, 1, band=1)
    add_attempts(task, 1)
    first = measure_difficulty(project)
    add_attempts(task, 1)
    assert measure_difficulty(project) == first


def test_a_hundred_tasks_are_measured_with_as_many_statements_as_one(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    for task in add_tasks(project, 100, band=4):
        add_attempts(task, 2)
    with django_assert_max_num_queries(4):
        measure_difficulty(project)


def test_other_projects_have_no_part_in_it(project: Project) -> None:
    (task,) = add_tasks(make_project(), 1, band=1)
    add_attempts(task, 1, status="accepted")
    measured = measure_difficulty(project)
    assert (measured.tasks, sum(measured.pool.values())) == (0, 0)


def test_failed_attempts_that_wait_for_rescue_are_not_counted_again(project: Project) -> None:
    (task,) = add_tasks(project, 1, band=5)
    lost = add_attempts(task, 3)
    Trajectory.objects.filter(pk=lost[0].pk).update(status="accepted")  # somebody rescued it
    assert count_failures(project) == {5: 2}
    queue, added = rescue_band(owner_access(project), 5)
    assert (added, count_failures(project)) == (2, {})
    add_attempts(task, 1)
    assert count_failures(project) == {5: 1}
    again, added = rescue_band(owner_access(project), 5)
    assert (again, added, again.conditions) == (queue, 1, {"band": "5", "outcome": "failure"})
    assert Queue.objects.count() == 1


def test_nothing_to_rescue_is_said_and_makes_no_queue(project: Project) -> None:
    with pytest.raises(ValueError, match="nothing to review"):
        rescue_band(owner_access(project), 5)
    assert not Queue.objects.exists()


def test_the_bootstrap_is_bounded_for_many_tasks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    measure = bias.measure_bias

    def note(*args: Any, resamples: int) -> Any:
        asked.append(resamples)
        return measure(*args, resamples=resamples)

    monkeypatch.setattr(difficulty, "measure_bias", note)
    monkeypatch.setattr(difficulty, "RESAMPLED", 2000)
    for task in add_tasks(project, 10, band=4):
        add_attempts(task, 1)
    measure_difficulty(project)
    assert asked == [200]
