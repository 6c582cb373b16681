"""README and pages say what is so: paths and links lead somewhere, commands parse, examples run."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from mke_theory.method.relatives import methods, table
from mke_theory.study.overrides import changed
from mke_theory.tasks.registry import TASKS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "experiments" / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "generated" not in path.parts),
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
FILES = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if ".venv" not in path.parts}

named = pytest.mark.parametrize("name", TEXTS)


def commands(text: str) -> list[str]:
    """Every command that a page shows, in a block or in backticks."""
    lines = [
        line.partition(" #")[0].strip()
        for kind, block in BLOCK.findall(text)
        if kind in ("", "bash")
        for line in block.splitlines()
    ]
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", BLOCK.sub("", text))]
    return [line for line in (*lines, *inline) if re.match(r"(python|make|mke|torchrun) ", line)]


def script_of(words: list[str]) -> tuple[Path, list[str]] | None:
    """The file that a command runs, and its arguments; None where it is none of ours."""
    if words[0] == "mke":
        return ROOT / "mke_theory" / "command" / "__main__.py", words[1:]
    words = [word for word in words[1:] if not word.startswith("--nproc")]
    if words[0] == "-m":
        path = ROOT / words[1].replace(".", "/") / "__main__.py"
        return (path, words[2:]) if words[1].startswith("mke_theory") else None
    return ROOT / words[0], words[1:]


@named
def test_every_path_that_a_page_names_exists(name: str) -> None:
    text = BLOCK.sub("", TEXTS[name])
    for path in re.findall(r"`([\w./-]+\.(?:py|md|bib|txt|toml|cff)|[\w/]+/)`", text):
        found = path.rstrip("/")
        assert any(f"/{file}".endswith(f"/{found}") for file in FILES), f"{name}: {path}"


@named
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", BLOCK.sub("", TEXTS[name])):
        if not target.startswith("https://"):
            path = (ROOT / name).parent / target
            assert path.exists(), f"{name}: {target}"


@named
def test_every_file_that_a_page_includes_exists(name: str) -> None:
    for target in re.findall(r"^```\{include\} (\S+)$", TEXTS[name], re.MULTILINE):
        assert ((ROOT / name).parent / target).is_file(), f"{name}: {target}"


ALL_COMMANDS = sorted({command for text in TEXTS.values() for command in commands(text)})


def test_commands_are_found() -> None:
    text = "Say `python\nb.py`.\n```\nmake x    # why\n```\n```python\nmake = 1\n```\n"
    assert commands(text) == ["make x", "python b.py"]
    assert "make run" in ALL_COMMANDS
    assert "python experiments/run_real.py" in ALL_COMMANDS


@pytest.mark.parametrize("command", [c for c in ALL_COMMANDS if c.startswith("make ")])
def test_every_target_that_a_page_names_exists(command: str) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in command.split()[1:] if "=" not in word} <= set(targets)


@pytest.mark.parametrize("command", [c for c in ALL_COMMANDS if not c.startswith("make ")])
def test_every_option_of_a_command_exists(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = script_of(shlex.split(command))
    if found is None:
        return  # venv, pytest: not ours
    path, words = found
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", [str(path), *words, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code in (0, None)
    shown = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in shown] == []


@pytest.mark.parametrize("command", [c for c in ALL_COMMANDS if "--set " in c])
def test_every_setting_of_a_command_exists(command: str) -> None:
    wanted: dict[str, list[str]] = {}
    for task, rest in re.findall(r"(\w+)\.([\w.]+=\S+)", command):
        wanted.setdefault(task, []).append(rest)
    assert wanted
    for task, assignments in wanted.items():
        assert changed(TASKS[task], *assignments) != TASKS[task]


def run_blocks(name: str, folder: Path) -> list[tuple[str, str]]:
    """Run the page's blocks of Python in turn: what each prints, and what the page shows for it."""
    blocks = BLOCK.findall(TEXTS[name])
    names: dict[str, object] = {}
    found = []
    for i, (kind, code) in enumerate(blocks):
        if kind != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(folder):
            exec(compile(code, name, "exec"), names)
        shows = printed.getvalue() and i + 1 < len(blocks) and blocks[i + 1][0] == ""
        found.append((printed.getvalue(), blocks[i + 1][1] if shows else ""))
    return found


def refuse_other_numbers(found: str, shown: str, within: tuple[float, ...]) -> None:
    """Equal texts, and each number within what another processor's rounding can do to it."""
    assert NUMBER.sub("#", found) == NUMBER.sub("#", shown)
    pairs = zip(NUMBER.findall(found), NUMBER.findall(shown), within, strict=True)
    for one, other, most in pairs:
        assert float(one) == pytest.approx(float(other), rel=0, abs=most)


def test_the_twelve_lines_print_what_the_readme_says(tmp_path: Path) -> None:
    (found, shown), _ = run_blocks("README.md", tmp_path)
    # teacher, student, n; corrected of errors [low, high]; damaged of right answers [low, high]
    refuse_other_numbers(found, shown, (0.3, 0.5, 0, 6, 4, 2, 2, 6, 4, 1, 1))

    from mke_theory.tasks.toy.arrays import Arrays

    problem = Arrays(file=str(tmp_path / "mine.npz"), alpha="audio").problem(0)
    assert problem.modalities == ("audio", "image")
    assert len(problem.unlabelled) == 1000


def test_the_certificate_says_what_its_page_shows(tmp_path: Path) -> None:
    ((found, shown),) = run_blocks("docs/theory.md", tmp_path)
    refuse_other_numbers(found, shown, (0, 0.01, 0.01, 0, 0))


def test_the_simulation_prints_what_its_page_shows(tmp_path: Path) -> None:
    ((found, shown),) = run_blocks("docs/worlds.md", tmp_path)
    # mean, sd, draws of three arms; the best possible errors
    refuse_other_numbers(found, shown, (*(0.2, 0.2, 0) * 3, 0, 0))


@named
def test_every_other_example_runs(name: str, tmp_path: Path) -> None:
    if name not in ("README.md", "docs/theory.md", "docs/worlds.md"):
        run_blocks(name, tmp_path)


def test_the_table_of_methods_is_that_of_their_settings() -> None:
    assert f"```text\n{table(methods())}\n```" in TEXTS["docs/semi_supervised.md"]


def test_the_readme_is_short() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= 150


def test_every_arm_is_on_the_page_of_the_method() -> None:
    from mke_theory.study.arms import ARMS

    assert set(ARMS) <= set(re.findall(r"`(\w+)`", TEXTS["docs/method.md"]))


def test_every_task_is_in_the_readme() -> None:
    assert set(TASKS) <= set(re.findall(r"`(\w+)`", TEXTS["README.md"]))


def test_every_experiment_is_in_the_list() -> None:
    files = {path.name for path in (ROOT / "experiments").glob("*.py")}
    listed = set(re.findall(r"(\w+\.py)", TEXTS["experiments/README.md"]))
    assert files - listed == {"phase.py", "placebo.py", "dependence.py"}  # by run_synthetic.py


def test_every_page_is_in_the_index() -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in PAGES[3:]}
    listed = {
        ("results/" if name.endswith("results/index.md") else "") + line
        for name in ("docs/index.md", "docs/results/index.md")
        for kind, block in BLOCK.findall(TEXTS[name])
        if kind == "{toctree}"
        for line in block.splitlines()
        if line and not line.startswith(":")
    }
    assert pages - {"index"} <= listed
