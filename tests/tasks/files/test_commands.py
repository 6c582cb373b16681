"""The command lines of the data sets: a wrong data root is refused, and nothing is made."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from mke_theory.tasks.files.commands import (
    WrongRootError,
    data_set,
    refuse_root_to_fill,
    run_command,
)

WINGS = {
    "av_digits": "av_digits",
    "nyu_depth": "nyudv2",
    "ravdess": "ravdess",
    "vggsound": "av_event_metadata",
}
"""The folder of each data set under the data root."""
WRONG = {
    "nowhere/at/all": "no such folder",
    "file": "is a file; name the folder above {name}",
    "empty": "has no folder {name}",
    "strange": "{name}: has none of ",
    "itself/{name}": "is the data set itself; name the folder above it",
}
FETCHES = {"av_digits", "nyu_depth", "ravdess"}
"""The data sets whose `prepare` fetches them, to where they are not yet."""
TO_FILL = {"empty", "strange"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in WINGS.values():
        (tmp_path / "strange" / name).mkdir(parents=True)
        (tmp_path / "itself" / name).mkdir(parents=True)
        (tmp_path / "strange" / name / "notes.txt").write_text("nothing")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("nothing")
    monkeypatch.chdir(tmp_path)
    return tmp_path


CALLS = [
    (wing, command, wrong)
    for wing in WINGS
    for command in (("prepare", "missing") if wing == "vggsound" else ("prepare", "check"))
    for wrong in WRONG
    if not (command == "prepare" and wing in FETCHES and wrong in TO_FILL)
]


@pytest.mark.parametrize(("wing", "command", "wrong"), CALLS)
def test_a_wrong_root_is_a_wrong_call(
    place: Path,
    wing: str,
    command: str,
    wrong: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = WINGS[wing]
    before = sorted(place.rglob("*"))
    root = wrong.format(name=name)
    monkeypatch.setattr(sys, "argv", ["x", command, "--data-root", root])
    with pytest.raises(SystemExit) as caught:
        import_module(f"mke_theory.tasks.{wing}.prepare").main()
    printed = capsys.readouterr()
    assert caught.value.code == 2 and printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ") and WRONG[wrong].format(name=name) in line
    assert root in line and any(way in line for way in ("fetch", "name the folder", "put the"))
    assert sorted(place.rglob("*")) == before


def test_a_root_to_fill_may_be_missing_but_not_what_is_above_it(place: Path) -> None:
    for root in (place / "empty", place / "new", Path("new"), Path()):
        refuse_root_to_fill(root, "nyudv2")
    with pytest.raises(WrongRootError, match=f"none above it either; make {place / 'no'}"):
        refuse_root_to_fill(Path("no/new"), "nyudv2")


def test_a_set_may_lie_in_a_folder_of_its_own_name(place: Path) -> None:
    (place / "nyudv2/nyudv2").mkdir(parents=True)
    (place / "nyudv2/nyudv2/index.csv").write_text("")
    assert data_set(Path("nyudv2"), "nyudv2", ("none", "*.csv"), "") == Path("nyudv2/nyudv2")
    assert data_set(place / "nyudv2", "nyudv2", ("index.csv",), "").is_dir()


@pytest.mark.parametrize(
    "error", [ValueError("of content"), FileNotFoundError("of a file"), ImportError("of a library")]
)
def test_what_is_wrong_with_the_data_is_another_code(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> None:
        raise error

    def other() -> None: ...

    monkeypatch.setattr(sys, "argv", ["x", "look"])
    with pytest.raises(SystemExit, match=f"error: {error}") as caught:
        run_command("x", {"look": look, "other": other})
    assert isinstance(caught.value.code, str)  # which Python prints, and ends with 1
