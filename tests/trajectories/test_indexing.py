"""The index of words and near duplicates: what is found, what repeats what, and what happens to a job on the way."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.search import SearchQuery
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from curation.formats.document import Document
from curation.jobs import index_project
from curation.measures import measure_document
from curation.models import Import, Indexing, JobState, Project, Revision, Trajectory, TrajectoryIndex
from curation.services import indexing
from curation.services.corrections import correct_trajectory, parse_edit
from curation.services.import_undo import undo_import
from curation.services.indexing import find_left, queue_forgotten, queue_indexing, run_indexing
from curation.services.jobs import STALE_AFTER, request_stop, sweep_jobs
from curation.services.queues import create_queue
from curation.similarity import THRESHOLD, estimate_similarity, list_bands, sign_steps
from tests.at_once import at_once
from tests.factories import make_document, make_member, make_project, make_task, make_trajectory, owner_access
from tests.imports.files import as_lines, import_content
from tests.workers import kill_worker_after
from training.jobs import SWEPT

pytestmark = pytest.mark.django_db(transaction=True)

# Indexes by the job whose id it is given, says when its first batch is written, and then hangs.
WORKER = """
import sys, time
import django
django.setup()
from curation.services import indexing

def hang(job):
    print("written", flush=True)
    time.sleep(600)

indexing.BATCH_TRAJECTORIES = 2
indexing.run_indexing(int(sys.argv[1]), watch=hang)
"""


def tell(subject: int, *, version: int = 0) -> str:
    """A story of 600 words; another version of it differs in `version` words."""
    rng = random.Random(subject)
    words = [f"{subject}w{rng.randrange(10**6)}" for _ in range(600)]
    for place in range(version):
        words[place * 7] = f"v{version}x{place}"
    return " ".join(words)


def index(project: Project) -> Indexing:
    job = queue_indexing(project.pk)
    assert job is not None
    run_indexing(job.pk)
    job.refresh_from_db()
    return job


def repeats(project: Project) -> list[tuple[int | None, float | None]]:
    """What each trajectory repeats, by its place among all, and how nearly."""
    rows = list(Trajectory.objects.filter(project=project).order_by("pk"))
    places = {row.pk: place for place, row in enumerate(rows)}
    return [(None if row.duplicate_of_id is None else places[row.duplicate_of_id], row.similarity) for row in rows]


def targets(project: Project) -> list[int | None]:
    return [target for target, _ in repeats(project)]


def rewrite(trajectory: Trajectory, text: str) -> None:
    """A new head that says something else altogether."""
    trajectory.refresh_from_db()
    Revision.objects.create(trajectory=trajectory, number=trajectory.head_number + 1, document=make_document(text))
    Trajectory.objects.filter(pk=trajectory.pk).update(head_number=trajectory.head_number + 1)


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


def check_truth(project: Project) -> None:
    """What the stored index says holds of the documents, whatever happened on the way."""
    rows = list(Trajectory.objects.filter(project=project).order_by("pk"))
    documents = {row.pk: Document.model_validate(row.revisions.get(number=row.head_number).document) for row in rows}
    signatures = {pk: sign_steps(document) for pk, document in documents.items()}
    said = {pk: [step.model_dump() for step in document.steps] for pk, document in documents.items()}
    representatives = [row.pk for row in rows if row.duplicate_of_id is None]
    for row in rows:
        assert row.indexed_number == row.head_number
        same = [pk for pk in said if pk < row.pk and said[pk] == said[row.pk]]
        if same:
            assert (row.duplicate_of_id, row.similarity) == (same[0], 1.0)
            continue
        alike = {pk: estimate_similarity(signatures[row.pk], signatures[pk]) for pk in representatives if pk < row.pk}
        if row.duplicate_of_id is None:
            assert max(alike.values(), default=0) < THRESHOLD
        else:
            assert row.duplicate_of_id in representatives
            assert row.similarity == alike[row.duplicate_of_id] >= THRESHOLD
        bands = list_bands(signatures[row.pk], project=project.pk)
        assert row.index.bands == ([] if row.duplicate_of_id else bands)


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


def test_there_is_one_job_of_a_project_and_none_where_nothing_is_left() -> None:
    project = make_project()
    assert queue_indexing(project.pk) is None
    make_trajectory(project)
    jobs = at_once(*[lambda: queue_indexing(project.pk)] * 4)
    assert len([job for job in jobs if job]) == 1
    run_indexing(Indexing.objects.get().pk)
    make_trajectory(project)
    index(project)
    assert Indexing.objects.count() == 1  # of those that are done, the newest is kept


def test_two_workers_on_one_job_index_each_trajectory_once() -> None:
    project = make_project()
    for number in range(6):
        make_trajectory(project, tell(number % 3))
    job = queue_indexing(project.pk)
    assert job is not None
    at_once(lambda: run_indexing(job.pk), lambda: run_indexing(job.pk))
    job.refresh_from_db()
    assert (job.state, job.claims, job.progress) == ("done", 1, 6)
    check_truth(project)


def test_a_worker_that_lost_its_job_writes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH_TRAJECTORIES", 2)
    project = make_project()
    for _ in range(6):
        make_trajectory(project, tell(1))
    job = queue_indexing(project.pk)
    assert job is not None

    def lose(current: Indexing) -> None:
        if current.claims == 1:
            Indexing.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - 2 * STALE_AFTER)
            assert sweep_jobs(Indexing) == [job.pk]
            run_indexing(job.pk)

    run_indexing(job.pk, watch=lose)
    job.refresh_from_db()
    assert (job.state, job.claims, job.progress) == ("done", 2, 4)
    check_truth(project)


def test_a_job_whose_worker_is_killed_goes_on_where_it_was() -> None:
    project = make_project()
    for number in range(5):
        make_trajectory(project, tell(number % 2))
    job = queue_indexing(project.pk)
    assert job is not None
    kill_worker_after(b"written\n", WORKER, str(job.pk))
    assert find_left(project.pk).count() == 3
    Indexing.objects.update(heartbeat_at=timezone.now() - STALE_AFTER - timedelta(seconds=1))
    assert sweep_jobs(Indexing) == [job.pk]
    assert (Indexing, "curation.jobs.run_indexing") in SWEPT
    run_indexing(job.pk)
    job.refresh_from_db()
    assert (job.state, job.claims) == ("done", 2)
    check_truth(project)


def test_a_stopped_job_keeps_what_it_did_and_only_an_import_or_correction_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "BATCH_TRAJECTORIES", 2)
    project = make_project()
    for _ in range(4):
        make_trajectory(project)
    job = queue_indexing(project.pk)
    assert job is not None
    run_indexing(job.pk, watch=request_stop)
    job.refresh_from_db()
    assert (job.state, find_left(project.pk).count()) == ("stopped", 2)
    assert queue_forgotten() == []
    index_project(project.pk)
    assert not find_left(project.pk).exists()


def test_the_sweeper_queues_what_nobody_works_on_but_not_at_once_after_a_failure() -> None:
    project = make_project()
    make_project()
    make_trajectory(project)
    (pk,) = queue_forgotten()
    assert queue_forgotten() == []
    Indexing.objects.filter(pk=pk).update(state=JobState.FAILED, finished_at=timezone.now())
    assert queue_forgotten() == []
    Indexing.objects.filter(pk=pk).update(finished_at=timezone.now() - timedelta(minutes=11))
    assert len(queue_forgotten()) == 1


def test_the_sweeper_waits_for_an_import_that_runs() -> None:
    access = owner_access(make_project())
    job = import_content(access, as_lines([make_document("look")]))
    Import.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
    assert queue_forgotten() == []
    Import.objects.filter(pk=job.pk).update(state=JobState.DONE)
    assert len(queue_forgotten()) == 1


def test_a_job_that_fails_says_why_and_keeps_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    make_trajectory(project)
    monkeypatch.setattr(indexing, "hash_steps", lambda document: 1 / 0)
    job = index(project)
    assert (job.state, job.error) == ("failed", "ZeroDivisionError: division by zero")


def test_what_somebody_holds_is_left_for_later() -> None:
    project = make_project()
    held, free = make_trajectory(project, "one"), make_trajectory(project, "two")
    job = queue_indexing(project.pk)
    assert job is not None
    with transaction.atomic():
        Trajectory.objects.select_for_update().get(pk=held.pk)
        at_once(lambda: run_indexing(job.pk))
    assert list(find_left(project.pk)) == [held]
    free.refresh_from_db()
    assert free.indexed_number == 0
    index_project(project.pk)
    check_truth(project)


def test_an_import_that_is_undone_meanwhile_leaves_nothing_that_repeats_it() -> None:
    access = owner_access(make_project())
    first = import_content(access, as_lines([make_document(tell(1))]))
    index(access.project)
    import_content(access, as_lines(make_document(tell(1, version=version)) for version in range(4)))
    job = queue_indexing(access.project.pk)
    assert job is not None
    at_once(lambda: run_indexing(job.pk), lambda: undo_import(access, first))
    job.refresh_from_db()
    assert job.state == "done"
    index_project(access.project.pk)
    check_truth(access.project)


def test_near_duplicates_and_what_is_left_are_found_by_index() -> None:
    project = make_project()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "trajectory_to_index" in find_left(project.pk).order_by("pk").values("pk").explain()
        alike = TrajectoryIndex.objects.filter(bands__overlap=[1, 2]).values("pk")
        assert "trajectory_by_bands" in alike.explain()


def open_page(client: Client, trajectory: Trajectory, **query: Any) -> str:
    page = reverse("curation:trajectory-detail", args=[trajectory.project.slug, trajectory.pk])
    return client.get(page, query).content.decode()


def test_the_page_and_rest_show_what_was_counted_and_what_is_repeated(client: Client) -> None:
    project = make_project()
    access = owner_access(project)
    client.force_login(access.user)
    make_trajectory(project, tell(1))
    trajectory = make_trajectory(project, tell(1, version=2))
    index(project)
    trajectory.refresh_from_db()
    Trajectory.objects.filter(pk=trajectory.pk).update(
        error_count=3,
        unknown_tool_count=2,
        bad_argument_count=4,
        unreadable_count=5,
        loop_length=6,
        context_overflow=True,
    )
    page = open_page(client, trajectory)
    for words in (
        "errors: 3",
        "unknown tools: 2",
        "bad arguments: 4",
        "unreadable turns: 5",
        "loop of 6 steps",
        "overflow",
    ):
        assert words in page
    assert f"nearly repeats #{trajectory.duplicate_of_id} ({trajectory.similarity:.2f})" in page
    assert "nearly repeats" not in open_page(client, make_trajectory(project))
    url = reverse("api-trajectory-detail", args=[project.slug, trajectory.pk])
    found = client.get(url).json()
    assert (found["error_count"], found["loop_length"], found["context_overflow"]) == (3, 6, True)
    assert (found["duplicate_of"], found["similarity"]) == (trajectory.duplicate_of_id, trajectory.similarity)


def test_whoever_may_be_given_a_trajectory_blind_is_not_shown_what_was_counted(client: Client) -> None:
    project = make_project()
    trajectory = make_trajectory(project, "look")
    Trajectory.objects.update(error_count=3, duplicate_of=trajectory.pk, similarity=1.0)
    chosen = Trajectory.objects.filter(pk=trajectory.pk)
    create_queue(owner_access(project), name="Blind", trajectories=chosen, reviews_wanted=1, blind=True)
    client.force_login(make_member(project).user)
    assert "errors: 3" not in (page := open_page(client, trajectory))
    assert "repeats #" not in page
    client.force_login(owner_access(project).user)
    assert "errors: 3" in (page := open_page(client, trajectory))
    assert f"repeats #{trajectory.pk}" in page


def test_the_page_of_an_older_revision_does_not_show_what_was_counted_in_the_newest(client: Client) -> None:
    project = make_project()
    client.force_login(owner_access(project).user)
    trajectory = make_trajectory(project, "look")
    rewrite(trajectory, "take")
    Trajectory.objects.update(error_count=3)
    assert "errors: 3" in open_page(client, trajectory)
    assert "errors: 3" not in open_page(client, trajectory, revision=0)


def test_a_task_of_its_own_is_no_reason_to_be_told_apart() -> None:
    project = make_project()
    make_trajectory(project, tell(1), task=make_task(project))
    make_trajectory(project, tell(1), task=make_task(project))
    index(project)
    assert targets(project) == [None, 0]
