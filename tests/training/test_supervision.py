"""Real engines under supervision: to the end, stopped and resumed, killed, orphaned, and with the database gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest
from django.db import OperationalError, connection, connections

from curation.models import JobState
from curation.services.dataset_files import locate_file
from curation.services.jobs import sweep_jobs
from tests.factories import make_project, owner_access
from tests.training.cast import LONG, QUICK, kill, make_run, read_log, start_worker, wait_for
from training.launchers.local import build_environment, find_engine
from training.models import Checkpoint, Evaluation, Run
from training.run_dir import read_status
from training.services.evaluations import evaluate_checkpoints
from training.services.outcomes import find_last_checkpoint
from training.services.runs import resume_run, stop_run
from training.services.supervision import Patience, outlast_outage, supervise_evaluation, supervise_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def leave_no_engine_behind() -> Iterator[None]:
    yield
    for process in psutil.process_iter():
        try:
            mine = any(argument.startswith(os.environ["WHETSTONE_HOME"]) for argument in process.cmdline()[3:])
            if mine and process.cmdline()[2].startswith("training.engine."):
                process.kill()
        except (psutil.Error, IndexError):
            continue


def reread(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def wait_for_checkpoint(run: Run) -> int:
    return int(wait_for(lambda: find_last_checkpoint(run.directory)))


def in_background(pk: int, patience: Patience = QUICK) -> threading.Thread:
    def supervise() -> None:
        try:
            supervise_run(pk, patience=patience)
        finally:
            connections.close_all()

    thread = threading.Thread(target=supervise)
    thread.start()
    return thread


def finish_quickly(run: Run) -> None:
    """Let a long run end at the next update it comes to once it is resumed."""
    job = json.loads((run.directory / "job.json").read_text())
    job["hyperparameters"]["max_steps"] = (find_last_checkpoint(run.directory) or 0) + 1
    (run.directory / "job.json").write_text(json.dumps(job))


def test_a_run_is_carried_to_its_end_and_its_models_can_be_measured_and_trained_on() -> None:
    project = make_project()
    access = owner_access(project)
    run = make_run(project)
    supervise_run(run.pk, patience=QUICK)
    run = reread(run)
    assert (run.state, run.error) == (JobState.DONE, ""), read_log(run)
    assert (run.progress, run.progress_total) == (3, 3)
    base, sft = Checkpoint.objects.filter(run=run).order_by("pk")
    assert (base.kind, sft.kind, sft.parent_id, sft.is_adapter) == ("base", "sft", base.pk, False)
    assert (sft.name, base.name) == (run.name, f"tiny base ({run.name})")

    supervise_run(run.pk, patience=QUICK)  # a message that comes twice
    assert Checkpoint.objects.filter(project=project).count() == 2

    dpo_run = make_run(project, "dpo", base=sft, adapter="lora")
    supervise_run(dpo_run.pk, patience=QUICK)
    assert reread(dpo_run).state == JobState.DONE, read_log(dpo_run)
    dpo = Checkpoint.objects.get(run=dpo_run)
    assert (dpo.kind, dpo.parent_id, dpo.is_adapter) == ("dpo", sft.pk, True)

    (evaluation,) = evaluate_checkpoints(access, [dpo], dpo_run.dataset_version)
    supervise_evaluation(evaluation.pk, patience=QUICK)
    evaluation = Evaluation.objects.get(pk=evaluation.pk)
    assert evaluation.state == JobState.DONE, evaluation.error
    assert evaluation.result is not None
    assert evaluation.result["preference"]["total"]["pairs"] == 2
    assert len(evaluation.result["next_actions"]) == 2
    (again,) = evaluate_checkpoints(access, [dpo], dpo_run.dataset_version)
    assert (again.pk, again.state) == (evaluation.pk, JobState.DONE)


def test_a_stopped_run_keeps_its_checkpoint_and_goes_on_from_it() -> None:
    project = make_project()
    access = owner_access(project)
    run = make_run(project, **LONG)
    thread = in_background(run.pk)
    wait_for_checkpoint(run)
    stop_run(access, run)
    thread.join(120)
    assert reread(run).state == JobState.STOPPED
    step = find_last_checkpoint(run.directory)
    with pytest.raises(ValueError, match="ended already"):
        stop_run(access, run)
    finish_quickly(run)

    resume_run(access, run)
    with pytest.raises(ValueError, match="nothing to resume"):
        resume_run(access, run)
    supervise_run(run.pk, patience=QUICK)
    assert reread(run).state == JobState.DONE, read_log(run)
    assert f"going on from checkpoint-{step}" in read_log(run)


def test_a_killed_engine_is_told_in_words_and_resumes_from_its_checkpoint() -> None:
    project = make_project()
    run = make_run(project, **LONG)
    thread = in_background(run.pk)
    wait_for_checkpoint(run)
    kill(wait_for(lambda: reread(run).pid))
    thread.join(120)
    run = reread(run)
    assert run.state == JobState.FAILED
    assert run.error.startswith("The training process was killed (signal 9).")
    assert run.advice == f"Resume: it continues from its last checkpoint, step {find_last_checkpoint(run.directory)}."
    finish_quickly(run)
    resume_run(owner_access(project), run)
    supervise_run(run.pk, patience=QUICK)
    assert reread(run).state == JobState.DONE, read_log(run)


def test_an_engine_outlives_its_worker_and_the_next_worker_goes_on_watching_it() -> None:
    run = make_run(make_project(), **LONG)
    worker = start_worker("supervise_run", run.pk)
    wait_for_checkpoint(run)
    pid = wait_for(lambda: reread(run).pid)
    worker.kill()
    worker.wait()
    assert sweep_jobs(Run) == []  # its heartbeat is not old yet
    Run.objects.filter(pk=run.pk).update(heartbeat_at="2020-01-01T00:00:00Z")
    assert sweep_jobs(Run) == [run.pk]
    assert reread(run).state == JobState.QUEUED
    thread = in_background(run.pk)
    wait_for(lambda: reread(run).state == JobState.RUNNING)
    engine = find_engine("sft", run.directory)
    assert engine is not None
    assert engine.pid == pid == reread(run).pid
    stop_run(owner_access(run.project), run)
    thread.join(120)
    assert reread(run).state == JobState.STOPPED
    assert not engine.is_alive()


def test_an_engine_that_died_with_its_worker_is_marked_and_not_run_again_by_itself() -> None:
    run = make_run(make_project(), **LONG)
    worker = start_worker("supervise_run", run.pk)
    step = wait_for_checkpoint(run)
    pid = wait_for(lambda: reread(run).pid)
    worker.kill()
    worker.wait()
    kill(pid)
    # Somebody else has got the engine's number meanwhile: it is neither watched nor killed.
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Run.objects.filter(pk=run.pk).update(heartbeat_at="2020-01-01T00:00:00Z", pid=stranger.pid)
    assert sweep_jobs(Run) == [run.pk]
    supervise_run(run.pk, patience=QUICK)
    run = reread(run)
    assert run.state == JobState.FAILED
    assert run.error == "The training process ended without a word; the machine or the process was killed."
    assert f"step {max(step, find_last_checkpoint(run.directory) or 0)}." in run.advice
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_what_an_engine_finished_while_nobody_watched_is_taken_in() -> None:
    run = make_run(make_project())
    worker = start_worker("supervise_run", run.pk)
    wait_for(lambda: reread(run).pid)
    worker.kill()
    worker.wait()

    def is_done() -> bool:
        status = read_status(run.directory)
        return status is not None and status.state == "done"

    wait_for(is_done)
    wait_for(lambda: find_engine("sft", run.directory) is None)
    Run.objects.filter(pk=run.pk).update(heartbeat_at="2020-01-01T00:00:00Z")
    assert sweep_jobs(Run) == [run.pk]
    supervise_run(run.pk, patience=QUICK)
    assert reread(run).state == JobState.DONE
    assert run.checkpoints.count() == 2


def test_a_worker_that_lost_its_run_stops_and_leaves_the_engine_alone() -> None:
    run = make_run(make_project(), **LONG)
    slow = in_background(run.pk)
    wait_for_checkpoint(run)
    Run.objects.filter(pk=run.pk).update(state=JobState.QUEUED, claim=None)
    slow.join(120)
    assert not slow.is_alive()
    run = reread(run)
    assert run.state == JobState.QUEUED
    engine = find_engine("sft", run.directory)
    assert engine is not None
    engine.kill()
    wait_for(lambda: find_engine("sft", run.directory) is None)


def test_the_engine_goes_on_while_the_database_is_gone() -> None:
    run = make_run(make_project(), **LONG)
    worker = start_worker("supervise_run", run.pk)
    wait_for_checkpoint(run)
    wait_for(lambda: reread(run).pid)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.rowcount >= 1
    before = reread(run).heartbeat_at
    wait_for(lambda: reread(run).heartbeat_at != before)
    assert worker.poll() is None
    stop_run(owner_access(run.project), run)
    assert worker.wait(120) == 0
    assert reread(run).state == JobState.STOPPED


def test_an_outage_is_outlasted_for_so_long_only() -> None:
    seen: list[str] = []

    def ask() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()" if seen else "SELECT pg_terminate_backend(pg_backend_pid())")
            return int(cursor.fetchone()[0])

    def count() -> int:
        try:
            return ask()
        finally:
            seen.append("asked")

    assert outlast_outage(5, count) > 1
    assert len(seen) == 2
    seen.clear()
    with pytest.raises(OperationalError):
        outlast_outage(0, ask)
    connection.close()


def test_an_engine_that_hangs_is_killed() -> None:
    run = make_run(make_project(), **LONG)
    thread = in_background(run.pk, replace(QUICK, hung=4))
    wait_for_checkpoint(run)
    os.kill(wait_for(lambda: reread(run).pid), signal.SIGSTOP)
    thread.join(120)
    run = reread(run)
    assert run.state == JobState.FAILED
    assert run.error == "It gave no sign of life for 4 seconds and was killed."
    assert run.advice.startswith("Resume: it continues from its last checkpoint")


def test_a_frozen_file_that_changed_is_not_trained_on() -> None:
    run = make_run(make_project())
    locate_file(run.dataset_version.train_sha256).write_text("{}\n")
    supervise_run(run.pk, patience=QUICK)
    run = reread(run)
    assert run.state == JobState.FAILED
    assert "is damaged" in run.error
    assert run.pid is None


def test_an_engine_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "DATABASE_URL", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a secret")
    run = make_run(make_project(), **LONG)
    thread = in_background(run.pk)
    pid = wait_for(lambda: reread(run).pid)
    environment = psutil.Process(pid).environ()
    stop_run(owner_access(run.project), run)
    thread.join(120)
    assert "a secret" not in environment.values()
    assert "a secret" not in build_environment().values()
    assert not {"SECRET_KEY", "DATABASE_URL", "WHETSTONE_HOME"} & set(environment)
    written = "".join(path.read_text() for path in run.directory.glob("*.json*"))
    assert "a secret" not in written
