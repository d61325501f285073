"""The index of words and near duplicates: what is found, and what repeats what."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from django.contrib.postgres.search import SearchQuery
from django.db import connection, transaction

from curation.formats.document import Document
from curation.jobs import index_project
from curation.measures import measure_document
from curation.models import Import, Project, Revision, Trajectory, TrajectoryIndex
from curation.services.corrections import correct_trajectory, parse_edit
from curation.services.import_undo import undo_import
from curation.services.indexing import find_left
from curation.similarity import THRESHOLD
from tests.factories import make_document, make_project, make_task, make_trajectory, owner_access
from tests.imports.files import as_lines, import_content
from tests.trajectories.indexed import check_truth, index, repeats, rewrite, targets, tell

pytestmark = pytest.mark.django_db(transaction=True)


def search(project: Project, words: str) -> list[int]:
    query = SearchQuery(words, config=TrajectoryIndex.CONFIGURATION, search_type="websearch")
    return list(Trajectory.objects.filter(project=project, index__words=query).values_list("pk", flat=True))


def test_words_of_the_task_of_steps_of_calls_and_of_results_are_found() -> None:
    project = make_project()
    first = make_trajectory(project, "open the chest")
    make_trajectory(project, "eat the apple")
    job = index(project)
    assert (job.state, job.progress, job.progress_total) == ("done", 2, 2)
    assert search(project, "chests") == search(project, '"opens the chest"') == [first.pk]
    assert search(project, "act thing -apple") == [first.pk]


def test_a_correction_is_found_by_its_new_words_and_measured() -> None:
    project = make_project()
    trajectory = make_trajectory(project, "open the chest")
    index(project)
    edit = parse_edit({"kind": "edit", "step_id": 3, "message": "I look into the cupboard."})
    correct_trajectory(owner_access(project), trajectory, edit, base=0, reason="")
    assert list(find_left(project.pk)) == [trajectory]
    index_project(project.pk)
    assert search(project, "cupboard") == [trajectory.pk]
    trajectory.refresh_from_db()
    assert trajectory.indexed_number == 1


def test_what_was_imported_before_anything_was_counted_is_counted_when_it_is_indexed() -> None:
    project = make_project()
    trajectory = make_trajectory(project, "look", "look", "look", "look")
    assert trajectory.loop_length == 0
    index(project)
    trajectory.refresh_from_db()
    document = Document.model_validate(trajectory.revisions.get().document)
    assert trajectory.loop_length == 4
    assert trajectory.agent_character_count == measure_document(document).agent_character_count > 0


def test_equal_and_nearly_equal_steps_repeat_the_oldest() -> None:
    project = make_project()
    for text in (tell(1), tell(2), tell(1), tell(1, version=3), tell(2, version=60)):
        make_trajectory(project, text)
    make_trajectory(make_project(), tell(1))  # another project's
    index(project)
    found = repeats(project)
    assert [target for target, _ in found] == [None, None, 0, 0, None]
    assert found[2][1] == 1.0
    assert found[3][1] is not None
    assert THRESHOLD <= found[3][1] < 1


def test_the_copy_of_a_near_duplicate_repeats_it_exactly() -> None:
    project = make_project()
    for text in (tell(1), tell(1, version=3), tell(1, version=3)):
        make_trajectory(project, text)
    index(project)
    assert targets(project) == [None, 0, 1]
    assert repeats(project)[2][1] == 1.0


def test_an_older_trajectory_that_is_indexed_later_takes_the_place_of_a_newer_one() -> None:
    project = make_project()
    late = make_trajectory(project, tell(5))
    for text in (tell(1), tell(1), tell(1, version=2)):
        make_trajectory(project, text)
    index(project)
    assert targets(project) == [None, None, 1, 1]
    rewrite(late, tell(1, version=1))
    index(project)
    assert targets(project) == [None, 0, 1, 0]
    rewrite(late, tell(6))
    index(project)
    assert targets(project) == [None, None, 1, 1]


def test_when_an_import_is_undone_what_repeated_it_repeats_another_or_nothing() -> None:
    access = owner_access(make_project())
    project = access.project
    first = import_content(access, as_lines([make_document(tell(1)), make_document(tell(2))]))
    import_content(access, as_lines(make_document(tell(1, version=version)) for version in (0, 2)))
    index(project)
    assert targets(project) == [None, None, 0, 0]
    undo_import(access, first)
    assert Trajectory.objects.exclude(similarity=None, duplicate_of=None).count() == 0
    index(project)
    assert targets(project) == [None, 0]
    assert TrajectoryIndex.objects.count() == 2


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_is_corrected_and_goes_in_any_order_the_index_says_the_truth(seed: int) -> None:
    rng = random.Random(seed)
    access = owner_access(make_project())
    project = access.project

    def make_text() -> str:
        return tell(rng.randrange(2), version=rng.choice([0, 0, 1, 2, 3, 60]))

    for _ in range(8):
        action = rng.choice(["import", "import", "rewrite", "undo", "forget"])
        imports = list(Import.objects.filter(undone_at=None))
        trajectories = list(Trajectory.objects.filter(project=project))
        if action == "import" or not trajectories:
            import_content(access, as_lines(make_document(make_text()) for _ in range(rng.randint(1, 4))))
        elif action == "rewrite":
            rewrite(rng.choice(trajectories), make_text())
        elif action == "undo":
            job = rng.choice(imports)
            if not Trajectory.objects.filter(origin=job, head_number__gt=0).exists():
                undo_import(access, job)
        else:
            Trajectory.objects.filter(pk=rng.choice(trajectories).pk).update(indexed_number=None)
        if rng.random() < 0.7 and find_left(project.pk).exists():
            index(project)
            check_truth(project)
    index_project(project.pk)
    check_truth(project)


def test_a_real_file_with_a_planted_near_duplicate(shared_data: Path) -> None:
    access = owner_access(make_project())
    content = (shared_data / "tau-bench" / "gpt-4o-airline.json").read_bytes()
    import_content(access, content, name="gpt-4o-airline.json")
    index(access.project)
    assert set(targets(access.project)) == {None}
    original = Trajectory.objects.order_by("-step_count")[0]
    planted = original.revisions.get().document
    planted["steps"][-1]["message"] = [{"type": "text", "text": "Something else was said at the end."}]
    import_content(access, as_lines([planted]))
    index(access.project)
    newest = Trajectory.objects.latest("pk")
    assert newest.duplicate_of_id == original.pk
    assert newest.similarity is not None
    assert newest.similarity > 0.9


def test_repeated_trials_of_a_real_file_repeat_each_other(shared_data: Path) -> None:
    access = owner_access(make_project())
    content = (shared_data / "reflexion" / "react_base_100_questions_5_trials.txt").read_bytes()
    import_content(access, content, name="react_base_100_questions_5_trials.txt")
    index(access.project)
    check_truth(access.project)
    repeated = Trajectory.objects.exclude(duplicate_of=None)
    assert repeated.filter(similarity=1).count() > 300
    assert not repeated.exclude(duplicate_of__task__in=Trajectory.objects.values("task")).exists()


def test_more_words_than_postgresql_holds_are_kept_as_far_as_they_fit() -> None:
    project = make_project()
    trajectory = make_trajectory(project, "first")
    words = "first " + " ".join(f"word{number}" for number in range(150_000))
    document = make_document("first")
    document["steps"][2]["message"][0]["text"] = words
    Revision.objects.create(trajectory=trajectory, number=1, document=document)
    Trajectory.objects.update(head_number=1)
    assert index(project).state == "done"
    assert search(project, "word1") == [trajectory.pk]
    assert search(project, "word149999") == []


def test_steps_without_a_word_repeat_only_what_says_exactly_the_same() -> None:
    project = make_project()
    for mark in ("!", "!", "?"):
        trajectory = make_trajectory(project, "look")
        document = make_document("look")
        document["steps"] = document["steps"][:2]
        document["steps"][1]["message"][0]["text"] = mark
        Revision.objects.create(trajectory=trajectory, number=1, document=document)
    Trajectory.objects.update(head_number=1)
    index(project)
    assert targets(project) == [None, 0, None]


def test_near_duplicates_and_what_is_left_are_found_by_index() -> None:
    project = make_project()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "trajectory_to_index" in find_left(project.pk).order_by("pk").values("pk").explain()
        alike = TrajectoryIndex.objects.filter(bands__overlap=[1, 2]).values("pk")
        assert "trajectory_by_bands" in alike.explain()


def test_a_task_of_its_own_is_no_reason_to_be_told_apart() -> None:
    project = make_project()
    make_trajectory(project, tell(1), task=make_task(project))
    make_trajectory(project, tell(1), task=make_task(project))
    index(project)
    assert targets(project) == [None, 0]
