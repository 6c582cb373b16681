"""What is available is read as Linux tells it, and more than that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mke_theory.training import memory
from mke_theory.training.memory import available_memory, refuse_too_little_memory

MIB = 1 << 20


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    meminfo = "MemTotal:       8192 kB\nMemFree:         100 kB\nMemAvailable:   4096 kB\n"
    return write(tmp_path / "proc", {"meminfo": meminfo, "self/cgroup": "0::/a/b\n"})


def test_without_a_limit_it_is_what_the_machine_has(proc: Path, tmp_path: Path) -> None:
    groups = write(tmp_path / "groups", {"a/b/memory.max": "max\n", "a/b/memory.current": "5\n"})
    assert available_memory(proc, groups) == 4 * MIB
    assert available_memory(proc, tmp_path / "absent") == 4 * MIB


@pytest.mark.parametrize("folder", ["a/b/", "a/", ""])
def test_a_group_counts_and_so_do_those_around_it(proc: Path, tmp_path: Path, folder: str) -> None:
    files = {"memory.max": "1000\n", "memory.current": "700\n", "memory.stat": "inactive_file 50\n"}
    groups = write(tmp_path, {f"groups/{folder}{name}": text for name, text in files.items()})
    assert available_memory(proc, groups / "groups") == 1000 - 650
    (groups / "groups" / folder / "memory.stat").unlink()
    assert available_memory(proc, groups / "groups") == 300
    (groups / "groups" / folder / "memory.current").write_text("1200")
    assert available_memory(proc, groups / "groups") == 0


def test_the_older_groups_are_read(proc: Path, tmp_path: Path) -> None:
    (proc / "self" / "cgroup").write_text("8:cpu,cpuacct:/x\n4:memory:/a\n0::/\n")
    files = {
        "memory/a/memory.limit_in_bytes": "1000\n",
        "memory/a/memory.usage_in_bytes": "700\n",
        "memory/a/memory.stat": "inactive_file 900\ntotal_inactive_file 50\n",
        "memory/x/memory.limit_in_bytes": "1\n",
        "memory/x/memory.usage_in_bytes": "1\n",
    }
    assert available_memory(proc, write(tmp_path / "groups", files)) == 350


def test_other_systems_tell_all_their_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PHYS_PAGES": 3, "SC_PAGE_SIZE": 7}.__getitem__)
    assert available_memory(tmp_path, tmp_path) == 21
    monkeypatch.delattr(memory.os, "sysconf")
    assert available_memory(tmp_path, tmp_path) is None


def test_too_little_is_refused_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 3 << 29)
    refuse_too_little_memory(3 << 29, "--batch-size")
    with pytest.raises(MemoryError, match="lower --batch-size") as caught:
        refuse_too_little_memory((3 << 29) + 1, "--batch-size")
    assert "1.50 GiB are available" in str(caught.value)
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    refuse_too_little_memory(1 << 80, "--batch-size")


def test_this_machine_has_some() -> None:
    refuse_too_little_memory(1, "--batch-size")
    with pytest.raises(MemoryError):
        refuse_too_little_memory(1 << 80, "--batch-size")
