"""A record has declared fields and no others; no finished run is ever lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mke_theory
from mke_theory.study import records
from mke_theory.study.records import Record, Records

ROOT = Path(mke_theory.__file__).parents[1]


def record(seed: int = 0, test: float | None = 0.5, **changes: Any) -> Record:
    made = Record(f"digits/mm_student/{seed}", "digits", "mm_student", seed, "c", {"test": test})
    return replace(made, **changes)


# A record


def test_a_record_is_its_dictionary() -> None:
    made = record(counts={"test": 3}, confusion=[[1, 0], [0, 2]], extra={"note": ["β → α", None]})
    plain = made.to_dict()
    assert plain == {
        "key": "digits/mm_student/0",
        "task": "digits",
        "arm": "mm_student",
        "seed": 0,
        "config_hash": "c",
        "metrics": {"test": 0.5},
        "metric": "accuracy",
        "counts": {"test": 3},
        "confusion": [[1, 0], [0, 2]],
        "extra": {"note": ["β → α", None]},
    }
    assert Record.of(plain) == made == Record.of(json.loads(json.dumps(plain)))


def test_a_zero_is_not_left_out() -> None:
    bare = record(test=None, seconds=0.0)
    assert bare.to_dict()["seconds"] == 0.0 and bare.to_dict()["metrics"] == {"test": None}
    assert "confusion" not in bare.to_dict()


def test_a_field_that_is_not_known_or_missing_is_refused_by_name() -> None:
    plain = record().to_dict()
    with pytest.raises(ValueError, match=r"a record has no field \['note', 'rule'\]"):
        Record.of({**plain, "rule": "last step", "note": "x"})
    for name in ("key", "task", "arm", "seed", "config_hash", "metrics"):
        with pytest.raises(ValueError, match=f"a record lacks a field .*'{name}'"):
            Record.of({n: value for n, value in plain.items() if n != name})
    required = {f.name for f in fields(Record)} - set(Record.of(plain).to_dict())
    assert len(required) == len(fields(Record)) - 7  # those six, and the name of the metric


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": {"test": float("nan")}}, "'test' is nan; a metric without a value is None"),
        ({"metrics": {"test": float("inf")}}, "'test' is inf"),
        ({"metrics": {"test": "high"}}, "'test' is high"),
        ({"metrics": [0.5]}, "needs 'metrics' of type dict"),
        ({"seed": "0"}, "needs 'seed' of type int; got '0'"),
        ({"key": None}, "needs 'key' of type str"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record(**change)


COMMITTED = (
    "benchmarks",
    "certificates",
    "ear",
    "entrants",
    "evidence",
    "few",
    "nyu_pretrained",
    "perturbation_law",
    "prior",
    "ravdess_folds",
    "real",
    "semi_supervised",
    "theory",
    "twomoon",
)


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_records_are_read_by_the_one_reader(name: str) -> None:
    text = (ROOT / "paper" / "results" / f"{name}.jsonl").read_text(encoding="utf-8")
    plain = [json.loads(line) for line in text.splitlines()]
    found = [Record.of(line) for line in plain]
    assert [one.to_dict() for one in found] == plain
    # A key has the settings that a seed does not, and some studies have keys by setting alone.
    ours = {(one.key, one.task, one.arm, one.seed) for one in found}
    assert len(ours) == len(plain) > 0


def test_no_committed_records_are_forgotten() -> None:
    assert {path.stem for path in ROOT.glob("paper/results/*.jsonl")} == set(COMMITTED)


# The file of finished runs


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    one, other = record(seed=0, extra={"note": "β → α"}), record(seed=1)
    with Records.open(tmp_path / "new" / "out") as runs:
        assert (len(runs), runs.repaired, runs.has(one.key)) == (0, False, False)
        runs.append(one)
        runs.append(other)
        assert runs.has(one.key) and list(runs) == [one, other]
    with Records.open(tmp_path / "new" / "out") as again:
        assert list(again) == [one, other] and len(again) == 2
    assert records.read(tmp_path / "new" / "out") == [one, other]


def test_of_equal_keys_the_last_wins(tmp_path: Path) -> None:
    with Records.open(tmp_path) as runs:
        for one in (record(seed=0), record(seed=1), record(seed=0, test=0.75)):
            runs.append(one)
        assert len(runs) == 2
    assert records.read(tmp_path) == [record(seed=0, test=0.75), record(seed=1)]


def test_records_of_a_plan_come_in_its_order(tmp_path: Path) -> None:
    one, two, three = (record(seed=seed) for seed in range(3))
    with Records.open(tmp_path) as runs:
        for done in (one, two, three):
            runs.append(done)
        assert runs.of([three.key, "missing", one.key, three.key]) == [three, one]


def test_reading_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run an experiment"):
        records.read(tmp_path)


@pytest.mark.parametrize("cut", [1, 2, 10, "all but the end of the line"])
def test_half_a_line_at_the_end_is_cut_off(tmp_path: Path, cut: int | str) -> None:
    with Records.open(tmp_path) as runs:
        runs.append(record(seed=0))
        runs.append(record(seed=1))
    path = tmp_path / records.FILE
    whole = path.read_bytes()
    complete = isinstance(cut, str)
    path.write_bytes(whole[:-1] if isinstance(cut, str) else whole[: -1 - cut])
    expected = [record(seed=0), record(seed=1)][: 2 if complete else 1]
    assert records.read(tmp_path) == expected
    with Records.open(tmp_path) as runs:
        assert runs.repaired is not complete
        assert list(runs) == expected
        runs.append(record(seed=2))
    assert records.read(tmp_path) == [*expected, record(seed=2)]
    assert path.read_bytes().count(b"\n") == len(expected) + 1


@given(st.integers(min_value=0))
def test_any_cut_loses_at_most_the_last_line(at: int) -> None:
    lines = [records._to_line(record(seed=seed, extra={"note": "β"})) for seed in range(3)]
    content = b"".join(lines)
    cut = content[: at % (len(content) + 1)]
    kept = records._parse(records._complete(cut), Path("x"))
    whole = [index for index in range(3) if len(cut) >= len(b"".join(lines[: index + 1])) - 1]
    assert [one.seed for one in kept.values()] == whole


@pytest.mark.parametrize("damaged", [b"{half", b"[1]", b'{"no": "key"}', b"\xff\xfe"])
def test_a_damaged_line_is_named_and_nothing_is_changed(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / records.FILE
    lines = [records._to_line(record(seed=0)), damaged + b"\n", records._to_line(record(seed=1))]
    path.write_bytes(b"".join(lines) + b"torn")
    before = path.read_bytes()
    for attempt in (Records.open, records.read):
        with pytest.raises(ValueError, match=r"line 2 of .* delete that line"):
            attempt(tmp_path)
    assert path.read_bytes() == before
    path.write_bytes(lines[0] + lines[2])
    Records.open(tmp_path).close()  # the failed attempt has let go of the lock


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    first = Records.open(tmp_path)
    with pytest.raises(BlockingIOError, match="another run is writing"):
        Records.open(tmp_path)
    first.append(record())
    assert records.read(tmp_path) == [record()]  # readers need no lock
    first.close()
    first.close()
    with Records.open(tmp_path) as second:
        assert len(second) == 1
    with pytest.raises(ValueError, match="closed"):
        second.append(record(seed=1))


def test_a_child_that_outlives_the_run_keeps_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    flock, copies = fcntl.flock, []

    def lock(file: BinaryIO, how: int) -> None:
        copies.append(os.dup(file.fileno()))  # what a forked process would hold
        flock(file, how)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lock)
        Records.open(tmp_path).close()
    Records.open(tmp_path).close()
    assert copies
    for copy in copies:
        os.close(copy)


def test_without_locks_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with Records.open(tmp_path) as first, Records.open(tmp_path) as second:
        first.append(record(seed=0))
        second.append(record(seed=1))
    assert len(records.read(tmp_path)) == 2


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(FileExistsError, match="file is in the way"):
            Records.open(folder)
    (tmp_path / "out" / records.FILE).mkdir(parents=True)
    with pytest.raises(FileExistsError, match="has to be a file"):
        Records.open(tmp_path / "out")


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # the superuser may write everywhere
        monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(PermissionError, match="make it writable or choose another"):
        Records.open(folder)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match=r"cannot make .*Read-only file system"):
        Records.open(tmp_path / "out")


def test_too_little_room_is_refused_before_work(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(OSError, match=r"MiB free and \d+ MiB are needed"):
        Records.open(tmp_path, minimum_free=2 * free)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "write"])
def test_a_full_disk_keeps_the_earlier_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with Records.open(tmp_path) as runs:
        runs.append(record(seed=0))

        def full(*args: object) -> None:
            if step == "write":
                runs._file.write(b'{"key": "ha')
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            target = (os, "fsync") if step == "fsync" else (records, "_write_all")
            patch.setattr(*target, full)
            with pytest.raises(OSError, match=r"No space left.*earlier runs are kept") as caught:
                runs.append(record(seed=1))
        assert caught.value.errno == errno.ENOSPC
        assert not runs.has(record(seed=1).key)
        assert records.read(tmp_path) == [record(seed=0)]
        runs.append(record(seed=2))
    assert records.read(tmp_path) == [record(seed=0), record(seed=2)]


def test_a_write_that_the_system_stops_half_way(tmp_path: Path) -> None:
    # A limit on the size of a file acts as a full disk does: part of the line is taken.
    pytest.importorskip("resource")
    code = f"""
        import resource, sys
        from dataclasses import replace
        sys.path.insert(0, {str(ROOT)!r})
        from mke_theory.study.records import Record, Records
        base = Record.of({record().to_dict()!r})
        with Records.open(sys.argv[1]) as runs:
            runs.append(base)
            limit = (runs.folder / "records.jsonl").stat().st_size + 40
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                runs.append(replace(base, key="second"))
            except OSError as error:
                print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large" in ran.stdout and "earlier runs are kept" in ran.stdout
    assert (tmp_path / records.FILE).read_bytes() == records._to_line(record())


def test_an_interrupt_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    with Records.open(tmp_path) as runs:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", interrupt)
            with pytest.raises(KeyboardInterrupt):
                runs.append(record(seed=0))
        runs.append(record(seed=1))
    assert records.read(tmp_path) == [record(seed=1)]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_loses_at_most_the_line_it_was_writing(tmp_path: Path) -> None:
    code = f"""
        import sys
        from dataclasses import replace
        sys.path.insert(0, {str(ROOT)!r})
        from mke_theory.study.records import Record, Records
        base, payload = Record.of({record().to_dict()!r}), {{"payload": "x" * 200_000}}
        with Records.open(sys.argv[1]) as runs:
            start = len(runs)
            for seed in range(start, start + 100_000):
                runs.append(replace(base, key=str(seed), seed=seed, extra=payload))
                print(seed, flush=True)
    """
    seen = -1
    for _ in range(3):
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(4):
                seen = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            seen = max([seen, *map(int, writer.stdout.read().split())])
        seeds = [one.seed for one in records.read(tmp_path)]
        # All that was announced is there, in order; the line after it may be there as well.
        assert seeds == list(range(len(seeds))) and len(seeds) in (seen + 1, seen + 2)
    with Records.open(tmp_path) as runs:
        assert len(runs) == len(seeds)


def test_what_cannot_be_written_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with Records.open(tmp_path) as runs:
        with pytest.raises(ValueError, match="not JSON compliant"):
            runs.append(record(seconds=float("inf")))
        with pytest.raises(TypeError, match="not JSON serializable"):
            runs.append(record(extra={"lock": object()}))
        assert len(runs) == 0
    assert (tmp_path / records.FILE).read_bytes() == b""


def test_an_atomic_write_replaces_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("former")
    with path.open() as reader:  # who reads meanwhile reads the former file to its end
        assert records.write_atomic(path, "β\n") == path
        assert reader.read() == "former"
    assert path.read_bytes() == "β\n".encode()

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        records.write_atomic(path, b"new")
    assert path.read_bytes() == "β\n".encode()
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
