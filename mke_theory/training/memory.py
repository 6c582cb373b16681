"""The memory that this process can still take, and a refusal of what does not fit into it."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

_GIBIBYTE = 1 << 30
_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def refuse_too_little_memory(bytes_needed: int, setting: str) -> None:
    """Raise MemoryError, which names the setting to lower, where less memory is available.

    A system that does not tell how much is available refuses nothing.
    """
    available = available_memory()
    if available is not None and available < bytes_needed:
        raise MemoryError(
            f"about {bytes_needed / _GIBIBYTE:.2f} GiB of memory are needed and "
            f"{available / _GIBIBYTE:.2f} GiB are available; lower {setting}, or use a machine "
            "with more memory"
        )


def available_memory(proc: Path = _PROC, groups: Path = _GROUPS) -> int | None:
    """The bytes that can be taken without swapping: of the machine, or of a tighter control group.

    What the file cache holds counts as available. On a system without /proc/meminfo it is all
    memory of the machine, in use or not; None where that is not told either. `proc` and `groups`
    are where Linux mounts these file systems.
    """
    found = [_machine(proc), *_control_groups(proc, groups)]
    return min((number for number in found if number is not None), default=None)


def _machine(proc: Path) -> int | None:
    kibibytes = _numbers(proc / "meminfo").get("MemAvailable:")
    if kibibytes is not None:
        return 1024 * kibibytes
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None


def _control_groups(proc: Path, groups: Path) -> list[int]:
    """What is left in the process's control group and in each that holds it."""
    found = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = groups / "memory" if controllers else groups
        inside = PurePosixPath(path.lstrip("/"))
        # In a container the path may be the host's and not exist here; its parents do.
        for folder in (top / inside, *(top / parent for parent in inside.parents)):
            found += _left(folder, new=not controllers)
    return found


def _left(folder: Path, *, new: bool) -> list[int]:
    """[limit − use], the file cache not counted as use; [] where there is no limit."""
    names = ("memory.max", "memory.current", "inactive_file")
    if not new:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    limit, use = _text(folder / names[0]).strip(), _text(folder / names[1]).strip()
    if not (limit.isdigit() and use.isdigit()):
        return []
    cached = _numbers(folder / "memory.stat").get(names[2], 0)
    return [max(0, int(limit) - max(0, int(use) - cached))]


def _numbers(path: Path) -> dict[str, int]:
    """The first two words of each line, the second a number."""
    lines = (line.split() for line in _text(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
