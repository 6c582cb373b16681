"""Planted errors, each with the tests that must catch it: `make mutants`, not part of CI.

    python -m tests.mutants                 all of them
    python -m tests.mutants first_order     those whose file or tests have this in their name

The package and its tests are copied to a temporary folder. There every test file runs once as it
is, for a file that fails by itself would catch anything, and then once for each error planted for
it. Exit code 0 where all errors are caught, 1 where one survives or a test file fails by itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("mke_theory", "tests", "pyproject.toml")
FAILED = 1
"""The exit code of pytest where tests ran and some failed; others mean that nothing was tested."""


@dataclass(frozen=True)
class Mutant:
    """An error: `old` in the package's `file`, which has it once, becomes `new`; `test` fails."""

    file: str
    old: str
    new: str
    test: str


_CERTIFICATES, _BOUNDS = "theory/certificates", "theory/bounds"
_STATS = "evaluation/stats.py", "evaluation/test_stats.py"
_LOSSES = "method/losses.py", "method/test_losses.py"

MUTANTS: tuple[Mutant, ...] = (
    # --- theory: bounds ---
    Mutant(
        f"{_BOUNDS}/lang2024_correction.py",
        'b.status == "holds" and not b.vacuous for b in bounds',
        "not b.vacuous for b in bounds",
        f"{_BOUNDS}/test_lang2024_correction.py",
    ),
    Mutant(
        f"{_BOUNDS}/lang2024_correction.py",
        "2 * relative * a * rough",
        "relative * a * rough",
        f"{_BOUNDS}/test_lang2024_correction.py",
    ),
    Mutant(
        f"{_BOUNDS}/lang2024_correction.py",
        "relative = c / (1 - a + c * a)",
        "relative = c / (1 - a)",
        f"{_BOUNDS}/test_lang2024_correction.py",
    ),
    Mutant(
        f"{_BOUNDS}/wei2021_pseudolabels.py",
        "return (1 + 2 / spare) * apart + (2 + 2 / spare) * rough - wrong",
        "return (1 + 2 / spare) * apart + (1 + 2 / spare) * rough - wrong",
        f"{_BOUNDS}/test_wei2021_pseudolabels.py",
    ),
    Mutant(
        f"{_BOUNDS}/wei2021_pseudolabels.py",
        "return min(1 / a if a > 0 else math.inf, float(expansion))",
        "return float(expansion)",
        f"{_BOUNDS}/test_wei2021_pseudolabels.py",
    ),
    Mutant(
        f"{_BOUNDS}/blum1998_independent_views.py",
        "return (apart - a) / (1 - 2 * a)",
        "return (apart - a) / (1 - a)",
        f"{_BOUNDS}/test_blum1998_independent_views.py",
    ),
    # --- theory: certificates ---
    Mutant(
        f"{_CERTIFICATES}/first_order.py",
        "float(rest.sum()) + rounding",
        "float(rest.sum()) - rounding",
        f"{_CERTIFICATES}/test_first_order.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/first_order.py",
        "return float(self.gain @ x) - float(charged.sum())",
        "return float(self.gain @ x)",
        f"{_CERTIFICATES}/test_first_order.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/worst_case.py",
        "return self.reward - self.graph.weights",
        "return self.reward + self.graph.weights",
        f"{_CERTIFICATES}/test_worst_case.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/cuts.py",
        "constant + bound - surplus",
        "constant + bound",
        f"{_CERTIFICATES}/test_cuts.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/side_information.py",
        "count + m, n) > 1 - level:",
        "count + m, n) > level:",
        f"{_CERTIFICATES}/test_side_information.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/side_information.py",
        "return max(0.0, 1 - sum(failures.values()))",
        "return max(0.0, 1 - max(failures.values(), default=0.0))",
        f"{_CERTIFICATES}/test_side_information.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/integer_programme.py",
        "problem.limits) + _FEASIBLE",
        "problem.limits) - 1e-3",
        f"{_CERTIFICATES}/test_integer_programme.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/integer_programme.py",
        "np.repeat(graph.edge_weights, problem.classes)",
        "np.repeat(graph.edge_weights / 2, problem.classes)",
        f"{_CERTIFICATES}/test_integer_programme.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/intervals.py",
        "reward=-problem.reward",
        "reward=problem.reward",
        f"{_CERTIFICATES}/test_intervals.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/intervals.py",
        "(wrong[pool.student] - wrong[g])",
        "(wrong[pool.student] + wrong[g] * 0)",
        f"{_CERTIFICATES}/test_intervals.py",
    ),
    Mutant(
        f"{_CERTIFICATES}/chosen_labels.py",
        "left[near[[at]].indices] = 0",
        "left[at] = 0",
        f"{_CERTIFICATES}/test_chosen_labels.py",
    ),
    # --- theory: expansion, the closed form ---
    Mutant(
        "theory/expansion/relative.py",
        "return (1 - ROUNDING) * float(np.interp(at, shares, sent)) / at",
        "return float(np.interp(at, shares, sent)) / at",
        "theory/expansion/test_relative.py",
    ),
    Mutant(
        "theory/expansion/isoperimetry.py",
        'step = 2 * _positive("radius", radius)',
        'step = _positive("radius", radius)',
        "theory/expansion/test_isoperimetry.py",
    ),
    Mutant(
        "theory/expansion/isoperimetry.py",
        "ndtr((r - half) / s) - ndtr((-r - half) / s)",
        "ndtr((r - half) / s)",
        "theory/expansion/test_isoperimetry.py",
    ),
    Mutant(
        "theory/gaussian/closed_form.py",
        "self.variance * (1 - self.missed - self.false_alarms)",
        "self.variance * (1 - self.missed)",
        "theory/gaussian/test_closed_form.py",
    ),
    # --- statistics ---
    Mutant(
        _STATS[0],
        "special.betaincinv(right + 1, total - right, 1 - tail)",
        "special.betaincinv(right, total - right + 1, 1 - tail)",
        _STATS[1],
    ),
    Mutant(_STATS[0], "/ n**0.5", "/ n", _STATS[1]),
    Mutant(
        _STATS[0],
        "special.stdtrit(n - 1,",
        "special.stdtrit(n,",
        _STATS[1],
    ),
    Mutant(
        _STATS[0],
        "p_value = 2 * float(",
        "p_value = float(",
        _STATS[1],
    ),
    Mutant(_STATS[0], "x.std(ddof=1)", "x.std()", _STATS[1]),
    # --- losses ---
    Mutant(
        _LOSSES[0],
        ".sum(dim) * temperature**2",
        ".sum(dim) * temperature",
        _LOSSES[1],
    ),
    Mutant(
        _LOSSES[0],
        "_kept(target.detach(), mask, dim)",
        "_kept(target, mask, dim)",
        _LOSSES[1],
    ),
    Mutant(
        _LOSSES[0],
        "difference.square().sum(dim)",
        "difference.square().mean(dim)",
        _LOSSES[1],
    ),
    Mutant(
        _LOSSES[0],
        "(log_clean.exp() * (log_clean - log_perturbed))",
        "(log_perturbed.exp() * (log_perturbed - log_clean))",
        _LOSSES[1],
    ),
    Mutant(
        _LOSSES[0],
        "kept.sum(dim=1).clamp(min=1)",
        "flat.shape[1]",
        _LOSSES[1],
    ),
    Mutant(
        _LOSSES[0],
        "amax(dim) >= threshold",
        "amax(dim) > threshold",
        _LOSSES[1],
    ),
    # --- worlds ---
    Mutant(
        "synthetic/gaussian.py",
        "softmax(z @ self.corners.T + np.log(self.priors), axis=1)",
        "softmax(z @ self.corners.T, axis=1)",
        "synthetic/test_gaussian.py",
    ),
    Mutant(
        "synthetic/gaussian.py",
        "np.array([shift, -shift])",
        "np.array([-shift, shift])",
        "synthetic/test_gaussian.py",
    ),
    Mutant(
        "synthetic/gaussian.py",
        "float(m @ weights + self.shared**2)",
        "float(m @ weights)",
        "synthetic/test_gaussian.py",
    ),
    Mutant(
        "synthetic/discrete.py",
        "np.tensordot(channel.T, table, axes=1)",
        "table * 1.0",
        "synthetic/test_discrete.py",
    ),
)


def main(names: Sequence[str]) -> int:
    """Plant the errors whose file or tests have one of the names, all where there is none."""
    chosen = [m for m in MUTANTS if not names or any(n in m.file + m.test for n in names)]
    if not chosen:
        print(f"no planted error has {' or '.join(names)} in its file or tests", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        failing = [test for test in dict.fromkeys(m.test for m in chosen) if _run(copy, test) != 0]
        for test in failing:
            print(f"FAILS    {test} without any error planted")
        survived = [m for m in chosen if m.test not in failing and not _caught(copy, m)]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} planted errors are caught")
    return 1 if failing or survived else 0


def planted(text: str, mutant: Mutant) -> str:
    """The file's text with the error in it. Raises ValueError where `old` is not there once."""
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.file} has {mutant.old!r} {text.count(mutant.old)} times; an error is planted "
            "where the text is there once"
        )
    return text.replace(mutant.old, mutant.new)


def _caught(copy: Path, mutant: Mutant) -> bool:
    file = copy / "mke_theory" / mutant.file
    text = file.read_text(encoding="utf-8")
    file.write_text(planted(text, mutant), encoding="utf-8")
    try:
        caught = _run(copy, mutant.test) == FAILED
    finally:
        file.write_text(text, encoding="utf-8")
    word = "caught  " if caught else "SURVIVES"
    print(f"{word} {mutant.file}: {mutant.old} → {mutant.new}", flush=True)
    return caught


def _run(copy: Path, test: str) -> int:
    """The exit code of pytest on one file in the copy, with nothing kept from an earlier run."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # Files of equal size changed within a second would be taken from compiled copies otherwise.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*command, f"tests/{test}"], cwd=copy, env=environment, capture_output=True, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
