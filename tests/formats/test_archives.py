"""Files of many: zips, tars and folders, and what hostile ones cannot do."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from backports.zstd import zipfile as zstd_zipfile

from curation.formats.base import FormatError, ImportContext, Parsed, Rejected
from curation.formats.document import Document
from curation.formats.sources import LeftOut, Located, Source
from tests.formats.reading_aids import as_lines, chat_record, make_zip, pack
from tests.formats.samples import ATIF, SAMPLES

CHAT = as_lines(chat_record("one"), chat_record("two"))


def make_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def read(content: bytes | Path, name: str = "archive") -> list[Located]:
    opened = content if isinstance(content, Path) else io.BytesIO(content)
    return list(Source(opened, ImportContext(filename=name)).read())


def documents(found: list[Located]) -> list[Document]:
    return [located.found.document for located in found if isinstance(located.found, Parsed)]


def reasons(found: list[Located]) -> list[tuple[str, str]]:
    return [(located.member, located.found.reason) for located in found if isinstance(located.found, Rejected)]


@pytest.mark.parametrize(
    "make", [make_zip, make_tar, lambda files: pack(make_tar(files)), lambda files: zstd.compress(make_tar(files))]
)
def test_every_file_of_an_archive_is_read_in_its_own_format(make: Any) -> None:
    found = read(make({"b/chat.jsonl": CHAT, "a.json": json.dumps(ATIF).encode(), "c.jsonl.gz": pack(CHAT)}))
    read_as = [(located.member, located.format) for located in found]
    assert read_as == [("a.json", "atif"), *[("b/chat.jsonl", "chat")] * 2, *[("c.jsonl.gz", "chat")] * 2]
    assert documents(found)[1].source.member == "b/chat.jsonl"


def test_a_single_file_packed_with_zstd_is_read(tmp_path: Path) -> None:
    assert len(documents(read(zstd.compress(CHAT)))) == 2


def test_members_packed_with_zstd_are_read() -> None:
    buffer = io.BytesIO()
    with zstd_zipfile.ZipFile(buffer, "w", zstd_zipfile.ZIP_ZSTANDARD) as archive:
        archive.writestr("chat.jsonl", CHAT)
    assert len(documents(read(buffer.getvalue()))) == 2


def test_an_eval_log_is_one_recording_and_a_zip_of_them_is_not() -> None:
    log = SAMPLES["inspect"][0]
    header = json.dumps({key: value for key, value in log.items() if key != "samples"}).encode()
    one = make_zip({"header.json": header, "samples/1_epoch_1.json": json.dumps(log["samples"][0]).encode()})
    assert [located.format for located in read(one)] == ["inspect"]
    assert [located.member for located in read(make_zip({"x.eval": one, "y.eval": one}))] == ["x.eval", "y.eval"]


def test_a_file_without_records_is_left_out_and_json_in_no_format_is_rejected() -> None:
    found = read(make_zip({"a.jsonl": CHAT, "image.png": b"\x89PNG\x00", "odd.json": b'{"hello": 1}'}))
    assert [located.member for located in found if isinstance(located.found, LeftOut)] == ["image.png"]
    ((member, reason),) = reasons(found)
    assert member == "odd.json"
    assert "`hello`" in reason


def test_an_archive_of_other_things_is_refused_with_what_was_looked_for() -> None:
    ((_, reason),) = reasons(read(make_zip({"a.png": b"\x89PNG\x00", "b.txt": b"hello"})))
    assert "no file in a known format; looked for: Whetstone documents" in reason


def test_a_damaged_member_does_not_keep_the_others_out() -> None:
    content = bytearray(make_zip({"a.jsonl": CHAT * 50, "b.jsonl": CHAT}))
    content[60:90] = b"\xff" * 30
    found = read(bytes(content))
    assert [member for member, _ in reasons(found)] == ["a.jsonl"]
    assert len(documents(found)) == 2


def test_a_zip_cut_off_is_refused() -> None:
    with pytest.raises(FormatError, match="the zip is damaged or cut off"):
        read(make_zip({"a.jsonl": CHAT})[:-30])


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    ((member, reason),) = reasons(read(make_zip({"bomb.jsonl": b"\0" * 40_000_000}, compresslevel=9)))[:1]
    assert member == "bomb.jsonl"
    assert "more than 200 times its size" in reason


def test_a_packed_bomb_is_refused() -> None:
    with pytest.raises(FormatError, match="more than 200 times its size"):
        read(zstd.compress(make_tar({"bomb.jsonl": b" " * 100_000_000})))


@pytest.mark.parametrize("name", ["../../etc/passwd.jsonl", "/etc/passwd.jsonl", "..\\x.jsonl", "a/../../b.jsonl"])
def test_a_members_name_never_leads_anywhere(name: str) -> None:
    (first, _) = read(make_zip({name: CHAT}))
    assert not first.member.startswith(("/", ".."))
    assert ".." not in first.member.split("/")


def test_links_in_archives_and_folders_are_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(CHAT)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.jsonl").symlink_to(secret)
    (folder / "own.jsonl").write_bytes(CHAT)
    assert {located.member for located in read(folder)} == {"own.jsonl"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("link.jsonl")
        info.type, info.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(info)
    assert documents(read(buffer.getvalue())) == []


def test_harbors_result_says_what_the_trial_was_and_came_to() -> None:
    result: dict[str, Any] = {
        "task_name": "open-door", "trial_name": "open-door__x1", "source": "doors",
        "agent_info": {"name": "a", "model_info": {"name": "m"}},
        "verifier_result": {"rewards": {"reward": 0.5, "style": 1}},
        "exception_info": None,
    }  # fmt: skip
    files = {"x1/result.json": json.dumps(result).encode(), "x1/agent/trajectory.json": json.dumps(ATIF).encode()}
    (document,) = documents(read(make_zip(files)))
    assert (document.task.id, document.task.dataset, document.trial.group) == ("open-door", "doors", "open-door__x1")
    assert (document.outcome.reward, document.outcome.rewards["style"], document.agent.model_name) == (0.5, 1, "m")
    result |= {"exception_info": {"exception_type": "AgentTimeoutError", "exception_message": "slow"}}
    files["x1/result.json"] = json.dumps(result).encode()
    (late,) = documents(read(make_zip(files)))
    assert (late.outcome.status, late.outcome.error) == ("truncated", "AgentTimeoutError: slow")


def test_an_image_beside_an_atif_trajectory_is_read_with_it() -> None:
    image: dict[str, Any] = {"type": "image", "source": {"media_type": "image/png", "path": "images/1.png"}}
    steps = [{"step_id": 1, "source": "user", "message": [image]}]
    files = {"t.json": json.dumps(ATIF | {"steps": steps}).encode(), "images/1.png": b"png"}
    (document,) = documents(read(make_zip(files)))
    assert document.steps[0].message[0].model_dump()["source"] == image["source"] | {"data": "cG5n"}


def test_a_swe_bench_report_says_which_instances_were_resolved() -> None:
    mini = json.dumps(SAMPLES["mini-swe-agent"][0]).encode()
    swe = json.dumps(SAMPLES["swe-agent"][0]).encode()
    report = json.dumps({"i1": {"resolved": True}, "i2": {"resolved": False}}).encode()
    found = read(make_zip({"run/i1.traj.json": mini, "run/i2.traj": swe, "run/report.json": report}))
    assert [(one.task.id, one.outcome.success) for one in documents(found)] == [("i1", True), ("i2", False)]


def test_a_claude_code_sessions_subagents_are_nested_and_linked() -> None:
    user, reply, result = json.loads(json.dumps(SAMPLES["claude-code"]))
    result["toolUseResult"] = {"agentId": "x7"}
    side = [line | {"isSidechain": True, "agentId": "x7", "sessionId": "s"} for line in SAMPLES["claude-code"]]
    files = {"p/s.jsonl": as_lines(user, reply, result), "p/agent-x7.jsonl": as_lines(*side)}
    (document,) = documents(read(make_zip(files)))
    (subagent,) = document.subagent_trajectories or []
    assert (subagent["trajectory_id"], len(subagent["steps"])) == ("x7", 2)
    observation = document.steps[1].observation
    assert observation is not None
    assert observation.results[0].subagent_trajectory_ref == [{"trajectory_id": "x7"}]
    inside = [line | {"isSidechain": True, "agentId": "x7"} for line in SAMPLES["claude-code"]]
    (same,) = documents(read(as_lines(user, reply, result, *inside)))
    assert [one["trajectory_id"] for one in same.subagent_trajectories or []] == ["x7"]
