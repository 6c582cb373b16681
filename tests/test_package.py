"""The shape of the project: who imports whom, what is declared, what is public."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mke_theory

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mke_theory"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    name: [Requirement(line) for line in lines]
    for name, lines in PROJECT["optional-dependencies"].items()
}
DIRECT = [*CORE, *(needed for name, extra in EXTRAS.items() if name != "all" for needed in extra)]

# A room, and the rooms it must not reach, neither itself nor through what it imports.
SEPARATE = {
    **dict.fromkeys(
        ("types", "rng", "losses", "transforms", "models", "stats", "accounting"),
        ("tasks", "synthetic", "train"),
    ),
    "theory": ("tasks", "train"),
    "synthetic": ("tasks", "stack", "run", "study", "ensemble"),
    **dict.fromkeys(("stack", "ssl"), ("tasks", "synthetic")),
    "program": ("types", "objective", "models"),
    "sweep": ("tasks", "synthetic", "train"),
    **dict.fromkeys(("plots", "plots_theory", "plots_phase", "plots_ssl"), ("train",)),
}
MEDIA = {"av", "h5py", "PIL", "soundfile", "transformers"}
UNWANTED = {"torchvision", "torchaudio", "timm"}


def imports(tree: ast.Module, module: str, *, package: bool = False) -> set[str]:
    """Full names of all that `tree`, the code of `module`, imports, at the top or inside."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            up = parts[: len(parts) + package - node.level] if node.level else []
            base = ".".join([*up, *filter(None, [node.module])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def trees(*folders: Path) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def modules(package: Path) -> dict[str, set[str]]:
    """Every module of `package`, with the full names of all that it imports."""
    found = {}
    for path, tree in trees(package):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        found[name] = imports(tree, name, package=path.name == "__init__.py")
    return found


def graph_of(package: Path) -> dict[str, set[str]]:
    """Every module of `package`, with the modules of it that it imports.

    The package itself is left out: its public names are looked up only when they are used.
    """
    found = modules(package)
    found.pop(package.name)
    # To import a.b.c runs a.b as well.
    runs = {
        name: {".".join(full.split(".")[:depth]) for full in names for depth in (2, 3, 4)}
        for name, names in found.items()
    }
    return {name: (targets & found.keys()) - {name} for name, targets in runs.items()}


def forbidden(graph: Mapping[str, set[str]], separate: Mapping[str, Iterable[str]]) -> list[str]:
    """The chains of imports that lead from a room to one it must not reach."""
    return [
        chain
        for room, others in separate.items()
        for target, chain in reached(graph, room).items()
        if target.split(".")[1] in others
    ]


def reached(graph: Mapping[str, set[str]], room: str) -> dict[str, str]:
    """All modules that importing the whole of `room` runs, with the chain that leads there."""
    chains = {name: name for name in graph if name.split(".")[1] == room}
    queue = list(chains)
    for name in queue:
        for target in sorted(graph[name] - chains.keys()):
            chains[target] = f"{chains[name]} -> {target}"
            queue.append(target)
    return chains


def top(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_imports_of_every_form_are_seen() -> None:
    tree = ast.parse("import a.b as c\nfrom . import d\nfrom ..e import f\ndef g():\n    import h")
    assert imports(tree, "p.q.r") == {"a.b", "p.q", "p.q.d", "p.e", "p.e.f", "h"}
    assert "p.q.r.d" in imports(ast.parse("from . import d"), "p.q.r", package=True)


def test_a_roundabout_import_is_found(tmp_path: Path) -> None:
    package = tmp_path / "p"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("from p.train import fit\n")
    (package / "losses.py").write_text("import math\nfrom p.models import net\n")
    (package / "models" / "__init__.py").write_text("from .. import train\n")
    (package / "models" / "net.py").write_text("")
    (package / "train.py").write_text("")
    graph = graph_of(package)
    assert forbidden(graph, {"losses": ["train"]}) == ["p.losses -> p.models -> p.train"]
    assert forbidden(graph, {"train": ["losses", "models"]}) == []


def test_imports_run_one_way() -> None:
    graph = graph_of(PACKAGE)
    assert {"mke_theory.types", "mke_theory.losses", "mke_theory.transforms"} <= graph.keys()
    assert forbidden(graph, SEPARATE) == []


def test_names_are_imported_from_where_they_live() -> None:
    # `from mke_theory import fit` would reach any room, unseen by the graph above.
    found = modules(PACKAGE)
    for module, names in found.items():
        own = {name for name in names if name.count(".") == 1 and top([name]) == {"mke_theory"}}
        assert own <= found.keys() | {"mke_theory.__version__"}, module


def test_what_the_package_imports_is_declared() -> None:
    # In particular the package imports neither experiments nor tests nor benchmarks.
    declared = {needed.name.replace("-", "_").replace("scikit_learn", "sklearn") for needed in CORE}
    allowed = declared | MEDIA | sys.stdlib_module_names | {"mke_theory"}
    for module, names in modules(PACKAGE).items():
        assert top(names) <= allowed, module


def test_media_libraries_are_imported_where_they_are_used() -> None:
    for path, tree in trees(PACKAGE, ROOT / "experiments"):
        outside = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert top(imports(ast.Module(outside, []), "mke_theory.x")).isdisjoint(MEDIA), path


def test_nothing_needs_torchvision_and_its_kin() -> None:
    folders = (ROOT / name for name in ("mke_theory", "experiments", "tests", "benchmarks"))
    for path, tree in trees(*folders):
        assert top(imports(tree, "mke_theory.x")).isdisjoint(UNWANTED), path
    line = re.compile(rf"^\s*(import|from)\s+({'|'.join(UNWANTED)})\b", re.MULTILINE)
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(line.search("".join(cell["source"])) for cell in cells), path
    assert UNWANTED.isdisjoint(needed.name for needed in DIRECT)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import mke_theory, sys; print('torch' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"


def test_every_public_name_resolves() -> None:
    names = list(mke_theory.__all__)
    assert len(names) == len(set(names)) > 0
    for name in names:
        assert getattr(mke_theory, name) is not None
    assert set(names) <= set(dir(mke_theory))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = mke_theory.no_such_name


def test_type_checkers_see_every_public_name() -> None:
    # They read a literal __all__ and the imports beside it, and run nothing.
    assert (PACKAGE / "py.typed").is_file()
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imported = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (public,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert isinstance(public, ast.List), "__all__ has to be written out as a list of names"
    assert set(ast.literal_eval(public)) - {"__version__"} == imported


def test_all_covers_the_other_extras() -> None:
    (own,) = EXTRAS["all"]
    assert own.name == PROJECT["name"]
    assert own.extras == EXTRAS.keys() - {"all"}


def test_dependencies_have_a_lower_bound_and_no_upper_one() -> None:
    for needed in DIRECT:
        assert [bound.operator for bound in needed.specifier] == [">="], needed


def test_constraints_pin_every_direct_dependency() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pins = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}
    assert pins["torch"] == "2.13.0"  # no local version: any build of it will do
    assert len(lines) == len(pins)
    assert pins.keys() == {canonicalize_name(needed.name) for needed in DIRECT}
    for needed in DIRECT:
        assert needed.specifier.contains(pins[canonicalize_name(needed.name)]), needed


def test_the_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [PROJECT["version"]]
    assert mke_theory.__version__ == PROJECT["version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_tests_cannot_reach_the_network() -> None:
    with socket.socket() as outside, pytest.raises(RuntimeError, match="offline"):
        outside.connect(("192.0.2.1", 80))  # an address reserved for documentation
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()[:2]).close()
