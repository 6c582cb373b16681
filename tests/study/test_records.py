"""Keys change with every part of a run, no finished run is ever lost, tables come out by hand."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mke_theory
from mke_theory.report import tables
from mke_theory.study import records
from mke_theory.study.records import Records

ROOT = Path(mke_theory.__file__).parents[1]


def record(
    arm: str = "mm_student",
    seed: int = 0,
    test: float | None = 0.5,
    *,
    task: str = "digits",
    **changes: Any,
) -> dict[str, Any]:
    return {
        "key": f"{task}/{arm}/{seed}",
        "task": task,
        "arm": arm,
        "seed": seed,
        "config_hash": arm,
        "metrics": {"test": test},
        **changes,
    }


# Who a run is


class Mode(Enum):
    HARD = "hard"


@dataclass(frozen=True)
class Noise:
    strength: float = 0.5
    data_root: Path = field(default=Path("here"), compare=False)


@dataclass(frozen=True)
class Dropout:
    strength: float = 0.5


@dataclass(frozen=True)
class Config:
    steps: int = 3
    mode: Mode = Mode.HARD
    where: Path = Path("a") / "b"
    transforms: tuple[object, ...] = (Noise(), Dropout(0.25))
    extra: dict[str, float | None] = field(default_factory=lambda: {"gamma": None})


def test_the_plain_form_by_hand() -> None:
    assert records.canonical(Config()) == {
        "kind": "Config",
        "steps": 3,
        "mode": "hard",
        "where": "a/b",
        "transforms": [
            {"kind": "Noise", "strength": 0.5},
            {"kind": "Dropout", "strength": 0.25},
        ],
        "extra": {"gamma": None},
    }
    assert records.canonical([np.float64(0.5), np.int64(2), np.bool_(True)]) == [0.5, 2, True]
    assert type(records.canonical(np.int64(2))) is int


def test_the_hash_by_hand() -> None:
    # sha256 of {"kind":"Dropout","strength":0.25}, as `sha256sum` gives it
    assert records.config_hash(Dropout(0.25)) == "ecbd5dacf8c8d639"


def test_two_classes_with_equal_fields_differ() -> None:
    assert records.config_hash(Noise()) != records.config_hash(Dropout())


def test_what_takes_no_part_in_equality_takes_no_part_in_the_hash() -> None:
    assert Noise(data_root=Path("there")) == Noise()
    assert records.config_hash(Noise(data_root=Path("there"))) == records.config_hash(Noise())
    assert records.config_hash(Noise(strength=0.6)) != records.config_hash(Noise())


@pytest.mark.parametrize("value", [{1, 2}, object(), print, b"x", np.zeros(2), Noise, {1: "a"}, 1j])
def test_what_has_no_plain_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        records.canonical({"deep": [value]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        records.canonical((value,))


def test_a_field_cannot_hide_the_name_of_its_class() -> None:
    @dataclass(frozen=True)
    class Kinded:
        kind: str = "Noise"
        strength: float = 0.5

    with pytest.raises(TypeError, match="kind"):
        records.config_hash(Kinded())


names = st.text("abβ", max_size=2)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | names,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(names, plain), st.randoms(use_true_random=False))
def test_the_hash_does_not_depend_on_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    order = list(value)
    random.shuffle(order)
    assert records.config_hash({name: value[name] for name in order}) == records.config_hash(value)


@given(plain, plain)
def test_hashes_are_equal_exactly_where_plain_forms_are(one: object, other: object) -> None:
    equal = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (records.config_hash(one) == records.config_hash(other)) == equal
    assert records.canonical(records.canonical(one)) == records.canonical(one)


def test_the_key_changes_with_every_part() -> None:
    parts: dict[str, Any] = {
        "task": "digits",
        "arm": "mm_student",
        "seed": 0,
        "config_hash": "c",
        "data_hash": "s",
        "code": "v",
        "environment": {"torch": "2.13.0"},
    }
    other = {
        "task": "twomoon",
        "arm": "um_student",
        "seed": 1,
        "config_hash": "d",
        "data_hash": None,
        "code": "w",
        "environment": {"torch": "2.13.1"},
    }
    keys = {records.run_key(**{**parts, name: value}) for name, value in other.items()}
    assert len(keys | {records.run_key(**parts)}) == 8
    assert {len(key) for key in keys} == {16}
    without = {name: value for name, value in parts.items() if name != "data_hash"}
    assert records.run_key(**without) == records.run_key(**{**parts, "data_hash": None})


def test_the_code_version_sees_sources_names_and_nothing_else(tmp_path: Path) -> None:
    def version(files: dict[str, str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return records.code_version(folder)

    first = version({"a.py": "1", "sub/b.py": "2"})
    assert version({"sub/b.py": "2", "a.py": "1", "notes.txt": "x"}) == first
    changed = [{"a.py": "1", "sub/b.py": "3"}, {"a.py": "1", "b.py": "2"}, {"a.py": "1"}]
    changed.append({"a.py": "2", "sub/b.py": "1"})
    assert len({first, *map(version, changed)}) == 5


def test_the_code_version_of_the_package_is_stable() -> None:
    assert records.code_version() == records.code_version(Path(records.__file__).parent)


def test_the_environment_names_no_host_and_no_path() -> None:
    found = records.environment()
    assert found.keys() == {"python", "torch", "numpy", "scikit-learn", "platform"}
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert not any("/" in value or "\\" in value for value in found.values())


def test_importing_records_does_not_import_torch() -> None:
    code = "import mke_theory.study.records, sys; print('torch' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"


# The file of finished runs


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    one, other = record(seed=0, note="β → α"), record(seed=1)
    with Records.open(tmp_path / "new" / "out") as runs:
        assert (len(runs), runs.repaired, runs.has(one["key"])) == (0, False, False)
        runs.append(one)
        runs.append(other)
        assert runs.has(one["key"]) and list(runs) == [one, other]
    with Records.open(tmp_path / "new" / "out") as again:
        assert list(again) == [one, other] and len(again) == 2
    assert records.read(tmp_path / "new" / "out") == [one, other]


def test_of_equal_keys_the_last_wins(tmp_path: Path) -> None:
    with Records.open(tmp_path) as runs:
        for one in (record(seed=0), record(seed=1), record(seed=0, test=0.75)):
            runs.append(one)
        assert len(runs) == 2
    assert records.read(tmp_path) == [record(seed=0, test=0.75), record(seed=1)]


def test_records_of_a_plan_come_in_its_order() -> None:
    one, two, three = (record(seed=seed) for seed in range(3))
    planned = [three["key"], "missing", one["key"], three["key"]]
    assert records.only([one, two, three], planned) == [three, one]


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
    lines = [records._to_line(record(seed=seed, note="β")) for seed in range(3)]
    content = b"".join(lines)
    cut = content[: at % (len(content) + 1)]
    kept = records._parse(records._complete(cut), Path("x"))
    whole = [index for index in range(3) if len(cut) >= len(b"".join(lines[: index + 1])) - 1]
    assert [one["seed"] for one in kept.values()] == whole


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
        assert not runs.has(record(seed=1)["key"])
        assert records.read(tmp_path) == [record(seed=0)]
        runs.append(record(seed=2))
    assert records.read(tmp_path) == [record(seed=0), record(seed=2)]


def test_a_write_that_the_system_stops_half_way(tmp_path: Path) -> None:
    # A limit on the size of a file acts as a full disk does: part of the line is taken.
    pytest.importorskip("resource")
    code = f"""
        import resource, sys
        sys.path.insert(0, {str(ROOT)!r})
        from mke_theory.records import Records
        base = {record()!r}
        with Records.open(sys.argv[1]) as runs:
            runs.append(base)
            limit = (runs.folder / "records.jsonl").stat().st_size + 40
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                runs.append({{**base, "key": "second"}})
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
        sys.path.insert(0, {str(ROOT)!r})
        from mke_theory.records import Records
        base, payload = {record()!r}, "x" * 200_000
        with Records.open(sys.argv[1]) as runs:
            start = len(runs)
            for seed in range(start, start + 100_000):
                runs.append({{**base, "key": str(seed), "seed": seed, "payload": payload}})
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
        seeds = [one["seed"] for one in records.read(tmp_path)]
        # All that was announced is there, in order; the line after it may be there as well.
        assert seeds == list(range(len(seeds))) and len(seeds) in (seen + 1, seen + 2)
    with Records.open(tmp_path) as runs:
        assert len(runs) == len(seeds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": {"test": float("nan")}}, "'test' is nan"),
        ({"seed": "0"}, "needs 'seed' of type int"),
        ({"key": None}, "needs 'key' of type str"),
        ({"seconds": float("inf")}, "not JSON compliant"),
    ],
)
def test_a_bad_record_is_refused_and_not_written(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with Records.open(tmp_path) as runs:
        with pytest.raises(ValueError, match=message):
            runs.append({**record(), **change})
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


# Tables


def example() -> list[dict[str, Any]]:
    """Gains of mm_student over um_teacher on digits: .1, .2, .3, so mean .2, sd .1, n = 3."""

    def both(arm: str, seed: int, test: float, agreement: float | None) -> dict[str, Any]:
        return record(arm, seed, metrics={"test": test, "agreement": agreement}, rule="last epoch")

    return [
        both("um_teacher", 0, 0.5, None),
        both("um_teacher", 1, 0.6, None),
        both("um_teacher", 2, 0.7, None),
        {**both("mm_student", 0, 0.6, 0.8), "differences": {"labels": ["hard", "soft"]}},
        both("mm_student", 1, 0.8, 0.9),
        both("mm_student", 2, 1.0, None),
        both("um_student", 1, 0.5, 1.0),
        record("mm_student", 0, 0.5, task="two moons"),
    ]


T_2 = 4.302652729911275  # the 97.5% point of Student's t with 2 degrees of freedom, from a table
REACH = T_2 * 0.1 / 3**0.5


def test_the_overview_names_a_metric_that_is_not_accuracy() -> None:
    found = [{**one, "arm_title": one["arm"]} for one in example()]
    maps = [{**one, "metric": "mIoU"} if one["task"] == "two moons" else one for one in found]
    assert list(tables.overview(found).index) == ["digits", "two moons"]
    assert list(tables.overview(maps).index) == ["digits", "two moons, mIoU"]


def test_the_overview_ends_with_what_the_student_gains_over_whom() -> None:
    found = [{**one, "arm_title": one["arm"]} for one in example()]
    rival = {**record("um_teacher_adjusted", 1, 0.75), "arm_title": "rival"}
    table = tables.overview([*found, rival])
    gains = ["gain of MKE", "MKE over UM student", "MKE over adjusted teacher"]
    assert list(table)[-3:] == gains
    assert list(table.loc["digits", gains]) == [
        f"+20.0 [{100 * (0.2 - REACH):.1f}, {100 * (0.2 + REACH):.1f}] (3)",
        "+30.0 (1)",  # one pair has no interval
        "+5.0 (1)",
    ]
    assert set(table.loc["two moons", gains]) == {tables.NOT_AVAILABLE}
    noisy = {**record("noisy_student", 2, 0.9), "arm_title": "noisy"}
    gains.insert(2, "MKE over NOISY student")
    assert list(tables.overview([*found, noisy]))[-3:] == gains[:3]


def test_one_row_a_task_arm_and_seed() -> None:
    found = tables.frame(example())
    assert list(found.columns) == ["task", "arm", "seed", "test", "agreement"]
    assert len(found) == 8
    assert found.iloc[4].to_list() == ["digits", "mm_student", 1, 0.8, 0.9]
    assert found["agreement"].isna().sum() == 5
    assert list(tables.frame([]).columns) == ["task", "arm", "seed"]


@pytest.mark.parametrize(
    "twin",
    [
        record("mm_student", 0, 0.9, key="other code"),
        record("mm_student", 9, 0.9, config_hash="other configuration"),
    ],
)
def test_runs_of_two_plans_are_never_averaged(twin: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"'mm_student', seed \d.*one plan"):
        tables.summary([*example(), twin])


def test_the_summary_by_hand() -> None:
    found = tables.summary(example())
    assert list(found) == ["digits", "two moons"]
    assert list(found["digits"]) == ["um_teacher", "mm_student", "um_student"]
    assert found["digits"]["um_teacher"].keys() == {"test"}  # it agrees with itself: no number
    cell = found["digits"]["mm_student"]["test"]
    assert (cell["mean"], cell["sd"], cell["n"]) == (pytest.approx(0.8), pytest.approx(0.2), 3)
    cell = found["digits"]["mm_student"]["agreement"]
    assert (cell["mean"], cell["n"]) == (pytest.approx(0.85), 2)
    assert cell["sd"] == pytest.approx(0.05 * 2**0.5)
    assert found["digits"]["um_student"]["test"] == {"mean": 0.5, "sd": None, "n": 1}
    assert tables.summary([]) == {}


def test_gains_are_paired_by_seed() -> None:
    pairs = tables.gains_by_seed(example())
    assert list(pairs["arm"]) == ["mm_student"] * 3 + ["um_student"]
    assert list(pairs["seed"]) == [0, 1, 2, 1]
    assert pairs["gain"].to_list() == pytest.approx([0.1, 0.2, 0.3, -0.1])
    found = tables.gains(example()).to_dict("records")
    assert [row["arm"] for row in found] == ["mm_student", "um_student"]
    assert found[0] == {
        "task": "digits",
        "arm": "mm_student",
        "mean": pytest.approx(0.2),
        "sd": pytest.approx(0.1),
        "n": 3,
        "low": pytest.approx(0.2 - REACH),
        "high": pytest.approx(0.2 + REACH),
    }
    assert (found[1]["n"], found[1]["mean"]) == (1, pytest.approx(-0.1))
    assert found[1]["sd"] is None and found[1]["low"] is None and found[1]["high"] is None


def test_gains_do_not_depend_on_the_order_of_records() -> None:
    forward = tables.gains(example()).sort_values("arm", ignore_index=True)
    backward = tables.gains(example()[::-1]).sort_values("arm", ignore_index=True)
    pd.testing.assert_frame_equal(forward, backward, check_exact=False)


def test_gains_over_another_base_and_metric() -> None:
    found = tables.gains(example(), "agreement", base="um_student").to_dict("records")
    assert [(row["arm"], row["n"]) for row in found] == [("mm_student", 1)]
    assert found[0]["mean"] == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: tables.gains(example(), "tset"), "metric 'tset'; there is test, agreement"),
        (lambda: tables.gains(example(), base="x"), "arm 'x'; there is um_teacher"),
        (lambda: tables.table(example(), "x"), "task 'x'; there is digits, two moons"),
        (lambda: tables.table([], "digits"), "there is none at all"),
    ],
)
def test_unknown_names_are_refused_with_what_exists(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask()


def test_the_table_by_hand() -> None:
    found = tables.table(example(), "digits")
    none = tables.NOT_AVAILABLE
    assert list(found.columns) == [
        "test", "unlabelled", "corrected", "damaged", "agreement", "gain"
    ]  # fmt: skip
    assert found.loc["um_teacher"].to_list() == [
        "60.0 ± 10.0 (3)", none, none, none, none, "reference"
    ]  # fmt: skip
    # 20 ± 4.3027 · 10/√3 = 20 ± 24.84
    assert found.loc["mm_student"].to_list() == [
        "80.0 ± 20.0 (3)", none, none, none, "85.0 ± 7.1 (2)", "+20.0 [-4.8, 44.8] (3)"
    ]  # fmt: skip
    assert found.loc["um_student"].to_list() == [
        "50.0 (1)", none, none, none, "100.0 (1)", "-10.0 (1)"
    ]  # fmt: skip
    alone = tables.table(example(), "two moons")
    assert alone.loc["mm_student", ["test", "gain"]].to_list() == ["50.0 (1)", none]


def test_the_written_tables(tmp_path: Path) -> None:
    paths = tables.write_tables(example(), tmp_path / "tables")
    stems = ("results_digits", "results_two_moons")
    names = [f"{stem}.{ending}" for stem in stems for ending in ("md", "csv", "tex")]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == sorted(names)

    text = paths[0].read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == "| arm | test | unlabelled | corrected | damaged | agreement | gain |"
    assert len(rows) == 5 and {row.count("|") for row in rows} == {8}
    assert "- mm_student: labels: hard → soft\n" in text
    assert "Weights used: last epoch." in text

    with paths[1].open(encoding="utf-8", newline="") as file:
        teacher, student, _ = csv.DictReader(file)
    assert (student["arm"], student["test_n"], student["gain_n"]) == ("mm_student", "3", "3")
    assert float(student["gain_low"]) == pytest.approx(0.2 - REACH)
    assert teacher["gain_mean"] == "" and teacher["test_n"] == "3"

    latex = paths[2].read_text(encoding="utf-8")
    assert r"mm\_student & 80.0 $\pm$ 20.0 (3) & not available &" in latex
    assert r"+20.0 [$-$4.8, 44.8] (3) \\" in latex
    assert latex.count(r"\\") == 4 and latex.startswith(r"\begin{tabular}{lllllll}")


def test_the_written_summary_is_the_summary(tmp_path: Path) -> None:
    path = tables.write_summary(example(), tmp_path / "summary.json")
    assert json.loads(path.read_text(encoding="utf-8")) == tables.summary(example())


def test_tables_do_without_test_metric_and_without_teacher(tmp_path: Path) -> None:
    others = [record("um_teacher", 0, None), record("mm_student", 0, 0.5)]
    assert tables.table(others, "digits")["gain"].to_list() == ["reference", "not available"]
    found = tables.table([record("um_teacher", metrics={}), record()], "digits")
    assert found.loc["um_teacher", "test"] == "not available"
    assert len(tables.write_tables(others, tmp_path)) == 3
