"""What a version goes out as: made once, the same bytes whenever, and equal for whoever loads it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.models import DatasetVersion, Project, Review, StepLabel, Task
from curation.row_files import FORMATS, RowFormat, read_line, write_line_starts, write_parquet
from curation.selectors.dataset_cards import write_card
from curation.services import dataset_files
from curation.services.dataset_files import find_rows, locate_file, read_row
from curation.services.exports import FILES, Export, NoSuchFile, find_export, stream_export
from tests.at_once import at_once
from tests.datasets.cast import freeze, judge_all_pairs, make_pool, make_task_with_text
from tests.factories import make_project, make_trajectory, make_user

pytestmark = pytest.mark.django_db
LOADING = Path(__file__).with_name("loading_program.py")
KINDS = ["sft", "prompt-completion", "dpo", "kto", "reward"]


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Path) -> None:
    settings.HOME = tmp_path


@pytest.fixture
def project() -> Project:
    """Accepted and rejected attempts, some tasks of known difficulty, and one turn that bears no loss."""
    project = make_project()
    for number in range(8):
        task = make_task_with_text(project, f"número {number} <b>", band=number % 6 or None)
        make_trajectory(project, "look", f"take {number}", task=task, status="accepted")
        make_trajectory(project, "look", "drop", task=task, success=False, status="rejected")
    trajectory = project.trajectories.filter(status="accepted").latest("pk")
    review = Review.objects.create(
        trajectory=trajectory,
        revision=trajectory.revisions.get(),
        reviewer=make_user(),
        verdict="accept",
        submitted_at=trajectory.created_at,
    )
    StepLabel.objects.create(review=review, step_id=3, label="wrong")
    return project


def read_all(export: Export) -> bytes:
    return b"".join(stream_export(export))


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_loads_equal_with_datasets(project: Project, tmp_path: Path, kind: str) -> None:
    if kind in ("dpo", "reward"):
        judge_all_pairs(project)
    version = freeze(project, kind, kind=kind, held_out=0.3)
    folder = tmp_path / "out"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_bytes(read_all(find_export(version, file)))
    finished = subprocess.run(
        [sys.executable, str(LOADING), str(folder)],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    counts = {split: version.rows.filter(split=split).count() for split in ("train", "eval")}
    assert all(counts.values())
    assert finished.stdout.split() == ["train", str(counts["train"]), "test", str(counts["eval"])]


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_a_file_is_the_same_bytes_whenever_it_is_made(project: Project, suffix: str) -> None:
    version = freeze(project)
    first = find_rows(version.train_sha256, suffix)
    before = first.path.read_bytes()
    assert hashlib.sha256(before).hexdigest() == first.sha256
    if suffix != "jsonl":
        first.path.unlink()
    assert find_rows(version.train_sha256, suffix) == first
    assert first.path.read_bytes() == before
    if suffix == "jsonl.gz":
        assert gzip.decompress(before) == locate_file(version.train_sha256).read_bytes()


def test_two_who_ask_at_the_same_moment_get_one_file_that_was_made_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = freeze(project)
    made: list[int] = []
    begun = threading.Event()

    def write(lines: Path, target: Any) -> None:
        made.append(1)
        target.write(b"half")
        begun.wait(0.3)  # the other one has the time to look
        target.write(b" and half")

    monkeypatch.setitem(FORMATS, "parquet", RowFormat("parquet", "", "", "", write))
    found = at_once(*[lambda: find_rows(version.train_sha256, "parquet")] * 4)
    assert made == [1]
    assert len(set(found)) == 1
    assert found[0].path.read_bytes() == b"half and half"


def test_a_half_made_file_is_never_served_and_does_not_stay(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    version = freeze(project)

    def write(lines: Path, target: Any) -> None:
        target.write(b"half")
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setitem(FORMATS, "parquet", RowFormat("parquet", "", "", "", write))
        with pytest.raises(OSError, match="no space"):
            find_rows(version.train_sha256, "parquet")
    found = find_rows(version.train_sha256, "parquet")
    assert found.path.read_bytes()[:4] == b"PAR1"
    assert not list(found.path.parent.glob(".making-*"))


def test_the_archive_holds_the_card_the_facts_and_both_sides(project: Project) -> None:
    version = freeze(project, held_out=0.4)
    export = find_export(version, "all.jsonl.gz.tar")
    whole = read_all(export)
    assert len(whole) == export.size
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        contents = {name: file.read() for name, file in members.items() if file}
    assert list(contents) == [
        f"data-v1/{name}" for name in ("README.md", "version.json", "train.jsonl.gz", "eval.jsonl.gz")
    ]
    assert gzip.decompress(contents["data-v1/train.jsonl.gz"]) == locate_file(version.train_sha256).read_bytes()
    assert json.loads(contents["data-v1/version.json"])["content_hash"] == version.content_hash
    assert b"path: train.jsonl.gz" in contents["data-v1/README.md"]
    assert find_export(version, "all.jsonl.gz.tar").sha256 == export.sha256


def test_any_part_of_any_file_is_that_part_of_the_whole(project: Project) -> None:
    version = freeze(project)
    for file in FILES:
        export = find_export(version, file)
        whole = read_all(export)
        for start in range(0, export.size, max(1, export.size // 7)):
            for stop in (start + 1, (start + export.size) // 2 + 1, export.size):
                stop = min(stop, export.size)
                assert b"".join(stream_export(export, start=start, stop=stop)) == whole[start:stop], (file, start, stop)


def test_a_file_that_no_version_has_is_refused_with_those_there_are(project: Project) -> None:
    version = freeze(project)
    for file in ("train.csv", "../train.jsonl", "all.jsonl", "lock", ""):
        with pytest.raises(NoSuchFile, match=r"train\.parquet"):
            find_export(version, file)


def test_a_row_is_read_by_its_place_without_those_before_it(project: Project) -> None:
    version = freeze(project, held_out=0)
    lines = locate_file(version.train_sha256).read_bytes().splitlines(keepends=True)
    assert [read_row(version.train_sha256, number) for number in range(len(lines))] == lines
    with pytest.raises(IndexError):
        read_row(version.train_sha256, len(lines))


@given(st.lists(st.binary(max_size=20).map(lambda part: part.replace(b"\n", b"")), max_size=20))
def test_any_line_is_found_by_its_number(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("lines")
    (folder / "lines").write_bytes(b"".join(line + b"\n" for line in lines))
    with (folder / "starts").open("wb") as target:
        write_line_starts(folder / "lines", target)
    for number, line in enumerate(lines):
        assert read_line(folder / "lines", folder / "starts", number) == line + b"\n"
    with pytest.raises(IndexError):
        read_line(folder / "lines", folder / "starts", len(lines))


def test_parquet_is_written_group_by_group_and_a_message_has_the_keys_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr("curation.row_files.GROUP_BYTES", 100)
    rows: list[dict[str, Any]] = [{"band": None, "messages": [{"role": "user", "content": "x" * 30}]} for _ in range(9)]
    rows.append({"band": 4, "messages": [{"role": "assistant", "content": "y", "trainable": False}]})
    (tmp_path / "lines").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (tmp_path / "rows.parquet").open("wb") as target:
        write_parquet(tmp_path / "lines", target)
    read = pq.ParquetFile(tmp_path / "rows.parquet")
    assert read.num_row_groups > 3
    table = read.read().to_pylist()
    assert [row["band"] for row in table] == [row["band"] for row in rows]
    assert [list(map(json.loads, row["messages"])) for row in table] == [row["messages"] for row in rows]


def test_the_card_says_what_is_in_it_and_nothing_of_it_is_read_as_markup(project: Project) -> None:
    Task.objects.update(key="<script>alert(1)</script> [x](http://evil)")
    version = freeze(project, name='# a "name" <b>\\', held_out=0.3)
    card = write_card(version).decode()
    front, words = card.removeprefix("---\n").split("---\n", 1)
    import yaml

    read = yaml.safe_load(front)
    assert read["pretty_name"] == '# a "name" <b>\\ v1'
    assert read["configs"][0]["data_files"] == [
        {"split": "train", "path": "train.jsonl"},
        {"split": "test", "path": "eval.jsonl"},
    ]
    assert read["size_categories"] == ["n<1K"]
    for said in (version.content_hash, version.software, "SFTTrainer", "## Recipe", "## Difficulty", "## Actions"):
        assert said in words
    assert "review status: rejected" in words
    assert "<" not in words.replace("&lt;", "").replace("<n<", "")
    assert card == write_card(DatasetVersion.objects.select_related("dataset").get(pk=version.pk)).decode()


def test_a_version_without_held_out_rows_has_no_test_split_in_its_card() -> None:
    project = make_project()
    make_pool(project, tasks=2, status="accepted")
    assert b"split: test" not in write_card(freeze(project, held_out=0))


def test_what_is_made_lies_beside_the_rows_it_was_made_of(project: Project) -> None:
    version = freeze(project)
    made = find_rows(version.train_sha256, "parquet").path
    assert made.parent.name == version.train_sha256
    assert made.parent.parent.parent == locate_file(version.train_sha256).parent
    assert dataset_files.find_rows(version.train_sha256).path == locate_file(version.train_sha256)
