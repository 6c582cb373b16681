"""The manifest of `av_digits`: the files that the published numbers were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from mke_theory.data.file_hashes import sha256_of
from mke_theory.tasks.av_digits.reader import IMAGES, LABELS, PAIRS, WRITERS, refuse_missing
from mke_theory.tasks.av_digits.split import LISTED, PREPARE

MANIFEST: Path = Path(__file__).parent / "manifests" / "av_digits.sha256"
"""Count, SHA-256 and name of each file, or group of recordings, as `manifest_of` gives them."""


def check(folder: Path, manifest: Path = MANIFEST) -> None:
    """Return if `folder` holds exactly the files that the published numbers were made from.

    Raises FileNotFoundError where the folder lacks the main parts and ValueError where it differs,
    naming the files (recordings by digit and speaker). `pairs.csv` may be missing, the rule gives
    it; other recordings may not be there, other files may.
    """
    refuse_missing(folder)
    found = manifest_of(folder)
    wanted = read_manifest(manifest)
    if PAIRS not in found:
        del wanted[PAIRS]
    wrong = differences(wanted, found)
    if wrong:
        raise ValueError(
            f"{folder} is not the published data: {shortened(wrong)}. Remove these files and run "
            f"`{PREPARE} {folder.parent}`, or put the right ones there"
        )


def manifest_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Number of files and SHA-256, by name, of what the task needs and `folder` has.

    The recordings of one digit and speaker are one entry: the SHA-256 of the lines
    "<SHA-256>  <name>", sorted by name.
    """
    entries = {
        name: (1, sha256_of(folder / name))
        for name in (IMAGES, LABELS, WRITERS, PAIRS)
        if (folder / name).is_file()
    }
    groups: dict[str, list[str]] = {}
    for path in sorted((folder / "recordings").glob("*.wav")):
        groups.setdefault(group_of(path.name), []).append(f"{sha256_of(path)}  {path.name}\n")
    for group, lines in groups.items():
        entries[group] = (len(lines), hashlib.sha256("".join(lines).encode()).hexdigest())
    return entries


def group_of(name: str) -> str:
    """The manifest's name for all takes of one digit by one speaker."""
    return f"recordings/{name.rpartition('_')[0]}_*.wav"


def read_manifest(path: Path = MANIFEST) -> dict[str, tuple[int, str]]:
    """The entries of a file of lines "<count> <SHA-256>  <name>", by name."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {name: (int(count), sha256) for count, sha256, name in lines}


def differences(
    wanted: Mapping[str, tuple[int, str]], found: Mapping[str, tuple[int, str]]
) -> list[str]:
    """A short text for each name that is missing, too much or other in `found`."""
    texts = []
    for name in sorted({*wanted, *found}):
        if wanted.get(name) == found.get(name):
            continue
        if name not in wanted:
            texts.append(f"{name} (not part of it)")
        elif name not in found:
            texts.append(f"{name} (missing)")
        elif wanted[name][0] != found[name][0]:
            texts.append(f"{name} ({found[name][0]} files instead of {wanted[name][0]})")
        else:
            texts.append(f"{name} (other content)")
    return texts


def shortened(texts: list[str]) -> str:
    """The first ten texts in one line, and how many more there are."""
    more = f" and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return ", ".join(texts[:LISTED]) + more
