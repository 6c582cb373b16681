r"""Maps of the gain of a multimodal student over two knobs of a world or of its training.

Claim: in the Gaussian world with a linear student the border between gain and loss runs where the
closed form puts it (`closed_form` measures how well); more noise on α helps a strong β and ruins a
weak one. Other worlds have no closed form, and the map is what is known of them.

    python experiments/run_synthetic.py phase
    python experiments/run_synthetic.py phase --quick
    python experiments/run_synthetic.py phase --world moons --knobs sd sigma \
        --low 0.05 0.1 --high 0.4 3

Gain is the student's test accuracy minus its teacher's, paired: one draw is one teacher and one
student on one seed, and every cell has seeds of its own, so that cells err independently. The sweep
starts coarse and spends draws where the sign is undecided (`mke_theory.study.adaptive_sweep`).

Hardware: two CPU cores, about 70 seconds; half a minute with `--quick`.
Expected: of 153 cells 84 gain, 60 lose and 9 stay undecided; the closed form lies in the intervals
of 138 (finite samples cost the student some tenths of a point, so somewhat below 95%).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import closed_form
import numpy as np
import pandas as pd
import tyro
from cluster import all_done, spread
from worlds import StudyOptions, chosen, moved

from mke_theory.method.objective import Objective
from mke_theory.method.transforms import GaussianNoise
from mke_theory.report import tables
from mke_theory.report.plots import Surface, phase_diagram, save
from mke_theory.study import records
from mke_theory.study.adaptive_sweep import (
    Floats,
    Lattice,
    Node,
    Rule,
    explore,
    sign,
    table,
    undecided_share,
)
from mke_theory.study.arms import MM_STUDENT
from mke_theory.study.records import write_atomic
from mke_theory.study.study import plan
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.simulated import Simulated
from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    LinearStudent,
    least_squares_student,
    logistic_student,
)

SEEDS = 1000
"""Seeds that belong to one cell."""

LEAST_SIGMA = 0.05
"""Below it the cross-entropy student is a copy, and its closed form refuses."""


@dataclass(frozen=True)
class Options(StudyOptions):
    """Map the gain over two knobs: figure, table of cells, records."""

    knobs: tuple[str, str] = ("m_beta", "sigma")
    """m_alpha, m_beta, rho, sigma; another number of the world; or a path such as unlabelled."""
    low: tuple[float, float] = (0.1, 0.5)
    """The first value of each knob."""
    high: tuple[float, float] = (1.9, 6.5)
    """The last value of each knob."""
    world: str = "gaussian"
    """gaussian, moons, decisive, xor or observed."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH=VALUE ...")] = ()
    """Settings to change, for instance unlabelled=500 world.correlation=0.2."""
    budget: int = 1500
    """Draws in all; a draw is a teacher and a student."""
    target: float = 0.0
    """End once no more than this share of the plane is undecided."""
    sides: int = 7
    """Positions of each knob at the start."""
    halvings: int = 2
    """The most times that a step may be halved."""
    first: int = 4
    """Draws of a new cell."""
    most: int = 32
    """The most draws of one cell."""
    agreement: bool = True
    """Compare simulated and exact gain afterwards, on grids of their own (`closed_form`)."""
    out: Path = Path("results/phase")
    """Folder for records, table and figure."""


@dataclass(frozen=True)
class Sweep:
    """A checked call: the task at every node, and the draws that may be spent."""

    knobs: tuple[str, str]
    lattice: Lattice
    rule: Rule
    tasks: Mapping[Node, Simulated]

    @classmethod
    def of(cls, options: Options) -> Sweep:
        """Raises ValueError where a knob is unknown, out of range, or the budget is too small."""
        small = options.quick
        sides, budget = (5, 200) if small else (options.sides, options.budget)
        lattice = Lattice(
            options.low, options.high, (sides, sides), 1 if small else options.halvings
        )
        rule = Rule(budget, options.first, 8 if small else options.most, target=options.target)
        rule.refuse_too_little(lattice)
        if options.most > SEEDS:
            raise ValueError(f"most is {options.most}; a cell has {SEEDS} seeds of its own")
        task = chosen(options.world, options.set)
        if options.knobs[0] == options.knobs[1]:
            raise ValueError(f"both knobs are {options.knobs[0]}; name two")
        tasks = {}
        for node in lattice.finest():
            here = task
            for knob, value in zip(options.knobs, lattice.at(node), strict=True):
                here = moved(here, knob, value)
            tasks[node] = here
        return cls(options.knobs, lattice, rule, tasks)

    def seed(self, node: Node, draw: int) -> int:
        """Every node has seeds of its own, the same whatever else is drawn."""
        return SEEDS * (node[0] * self.lattice.shape[1] + node[1]) + draw


def run(options: Options) -> list[Path]:
    """The files of a finished sweep: cells.csv, cells.md and phase.png, from records.

    Raises ValueError and OSError before any work where something is wrong with the call, and
    RuntimeError where a run failed; what is recorded stays.
    """
    sweep = Sweep.of(options)
    with (
        records.Records.open(options.out) as recorded,
        spread(options.cluster, options.workers) as workers,
    ):
        found = explore(sweep.lattice, sweep.rule, measurer(sweep, recorded, workers))
    cells = table(sweep.lattice, found, sweep.knobs)
    surfaces = closed_forms(sweep)
    for surface in surfaces:
        cells[surface.label] = [surface.gain[j, i] for i, j in sorted(found)]
    text = verdict(cells, sweep, found, surfaces)
    print(text)
    diagram = phase_diagram(cells, sweep.knobs, surfaces, caption(options))
    files = [
        write_atomic(options.out / "cells.csv", cells.to_csv(index=False, lineterminator="\n")),
        write_atomic(options.out / "cells.md", f"{text}\n\n{markdown(cells, sweep.knobs)}\n"),
        save(diagram, options.out / "phase.png"),
    ]
    if not options.agreement:
        return files
    judged = closed_form.Options(options.quick, options.out, options.workers)
    return [*files, *closed_form.run(judged)]


def measurer(
    sweep: Sweep, recorded: records.Records, workers: int
) -> Callable[[Mapping[Node, int]], dict[Node, Floats]]:
    """A function that carries out the runs of a request: the gains of every node, seed by seed."""

    def measure(wanted: Mapping[Node, int]) -> dict[Node, Floats]:
        seeds = {node: [sweep.seed(node, k) for k in range(n)] for node, n in wanted.items()}
        jobs = [
            j for node, own in seeds.items() for j in plan([sweep.tasks[node]], [MM_STUDENT], own)
        ]
        done = all_done(jobs, recorded, workers)
        gains = tables.gains_by_seed(done).set_index(["task", "seed"])["gain"]
        return {
            node: np.array([gains[sweep.tasks[node].name, seed] for seed in own])
            for node, own in seeds.items()
        }

    return measure


# The closed form


def pair_of(task: Simulated) -> tuple[GaussianPair, float] | None:
    """The pair and the σ that describe the task, or None where no closed form does."""
    world, objective = task.world, task.recipe.objective
    if not isinstance(world, Gaussian) or world.classes != 2 or len(world.signal) != 2:
        return None
    plain = task.mismatched == 0 and task.alpha == ("x1",) and not task.hidden
    if not plain or world.shared > 0 or not world.signal[0] > 0:
        return None
    for noise in objective.transform:
        alone = objective == Objective(transform=(noise,))
        if alone and isinstance(noise, GaussianNoise) and noise.only == ("x1",):
            return world.pair(), noise.sigma
    return None


def closed_forms(sweep: Sweep) -> list[Surface]:
    """The gain of linear students by formula at every node of the finest lattice; none without one.

    The students that are trained minimise cross-entropy; least squares stands beside for contrast.
    """
    pairs = {node: pair_of(task) for node, task in sweep.tasks.items()}
    known = {node: pair for node, pair in pairs.items() if pair is not None}
    if len(known) < len(pairs):
        return []
    wide, tall = sweep.lattice.shape
    x, y = (
        np.linspace(sweep.lattice.low[k], sweep.lattice.high[k], (wide, tall)[k]) for k in (0, 1)
    )

    def surface(label: str, student: Callable[[GaussianPair, float], LinearStudent]) -> Surface:
        gain = np.zeros((tall, wide))
        for (i, j), (pair, sigma) in known.items():
            gain[j, i] = pair.teacher_error - student(pair, sigma).error(pair)
        return Surface(label, x, y, gain)

    return [
        surface(
            "cross-entropy", lambda pair, sigma: logistic_student(pair, max(sigma, LEAST_SIGMA))
        ),
        surface("least squares", least_squares_student),
    ]


# Tables of the cells


def verdict(
    cells: pd.DataFrame, sweep: Sweep, found: Mapping[Node, Floats], surfaces: Sequence[Surface]
) -> str:
    """The draws, the cells that are decided, and the intervals that hold the closed form."""
    verdicts = Counter(sign(values, sweep.rule.sure) for values in found.values())
    share = undecided_share(sweep.lattice, sweep.rule, found)
    lines = [
        f"{len(cells)} cells, {int(cells['n'].sum())} draws of a budget of {sweep.rule.budget}: "
        f"{verdicts[1]} cells gain, {verdicts[-1]} lose, {verdicts[0]} are undecided (mean within "
        f"{sweep.rule.sure:g} standard errors of 0); {100 * share:.0f}% of the plane is undecided."
    ]
    with_interval = cells[cells["low"].notna()]
    for surface in surfaces:
        formula = with_interval[surface.label]
        inside = (with_interval["low"] <= formula) & (formula <= with_interval["high"])
        lines.append(
            f"The closed form of {surface.label} lies in the 95% interval of {int(inside.sum())} "
            f"of {len(with_interval)} cells."
        )
    return "\n".join(lines)


def markdown(cells: pd.DataFrame, knobs: tuple[str, str]) -> str:
    """All cells, gains in percentage points."""
    shown = cells.copy()
    for name in shown.columns.difference([*knobs, "n"]):
        shown[name] = [None if x is None else f"{100 * x:+.2f}" for x in shown[name]]
    return str(shown.to_markdown(index=False, floatfmt=".4g", missingval=""))


def caption(options: Options) -> str:
    """The world, and the meaning of a point."""
    changes = "".join(f", {setting}" for setting in options.set)
    return f"world: {options.world}{changes}; dots: cells, the larger the more draws"
