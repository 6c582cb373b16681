"""Put results into the form that is committed: compact records, tables, figures, and the README.

    python experiments/publish.py --real results/real --few results/few --twomoon results/twomoon
    python experiments/publish.py --benchmarks results/benchmarks
    python experiments/publish.py --theory results/theory --certificates results/certificates
    python experiments/publish.py            rebuild from the committed records

Tables between the lines `<!-- results: FILE -->` and `<!-- end of results -->` of the README are
replaced by the content of FILE, so that no number there is written by hand.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import certificates
import dependence
import equal_prior
import pandas as pd
import semi_supervised
import twomoon
import tyro
from calls import refused
from mke_theory.report.plots.semi_supervised import gains_by_method

from mke_theory.report import published as published_numbers
from mke_theory.report import tables
from mke_theory.report import theory as theory_report
from mke_theory.report.plots import confusion as plots_confusion
from mke_theory.report.plots import gains as plots
from mke_theory.study import records
from mke_theory.study import theory_on_runs as appraisals
from mke_theory.study.arms import ARMS
from mke_theory.study.records import Record, write_atomic
from mke_theory.tasks.registry import TASKS
from mke_theory.tasks.toy.twomoon import TwoMoonPublished

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "paper" / "results"
FIGURES = ROOT / "paper" / "figures"
README = ROOT / "README.md"

_BLOCK = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
_FIGURES = {"real": ("regions_*.png",), "benchmarks": ("scenes_*.png",)}
"""What a run alone can draw."""

_BUDGET = ("steps", "batch_size", "optimizer", "learning_rate")
_COUNTS = ("n", "corrected", "kept", "damaged", "inherited", "copied")


SYNTHETIC = (
    ("phase", "cells.csv"),
    ("phase", "closed_form.csv"),
    ("phase", "closed_form.md"),
    ("phase", "phase.png"),
    ("dependence", "dependence.csv"),
    ("dependence", "dependence.png"),
    ("placebo", "placebo.csv"),
    ("placebo", "placebo.md"),
)
"""What is kept of the studies of worlds, whose thousands of records stay where they were made."""

AS_WRITTEN = ("closed_form.md", "ensemble.md")
"""Tables of the README that their own study writes."""


@dataclass(frozen=True)
class Options:
    """Folders of finished studies; none means the records that are committed already."""

    real: Path | None = None
    """Output folder of run_real.py."""
    benchmarks: Path | None = None
    """Output folder of run_real.py with RAVDESS and NYU Depth V2."""
    prior: Path | None = None
    """Output folder of run_real.py with `nyu_depth.recipe.objective.adjustment=0.2`."""
    few: Path | None = None
    """Output folder of run_real.py with 5 labels a class on av_digits."""
    twomoon: Path | None = None
    """Output folder of twomoon.py."""
    theory: Path | None = None
    """Output folder of run_real.py with --theory 5: its appraisals."""
    certificates: Path | None = None
    """Output folder of certificates.py."""
    semi_supervised: Path | None = None
    """Output folder of semi_supervised.py."""
    synthetic: Path | None = None
    """Folder with the output folders of run_synthetic.py: phase, dependence, placebo."""


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 where a folder has no records, a file of a study is not there, or one is damaged."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    try:
        publish(options)
    except (OSError, ValueError) as problem:
        return refused(problem)
    return 0


def publish(options: Options) -> None:
    """Commit the records of finished studies, then write and draw all that records decide."""
    for place in (RESULTS, FIGURES):
        place.mkdir(parents=True, exist_ok=True)
    for name, folder in (
        ("real", options.real),
        ("benchmarks", options.benchmarks),
        ("prior", options.prior),
        ("few", options.few),
        ("twomoon", options.twomoon),
    ):
        if folder is None:
            continue
        kept = (TwoMoonPublished.name,) if name == "twomoon" else ()
        _commit(name, folder, compact, kept)
        for pattern in _FIGURES.get(name, ()):
            for drawn in folder.glob(pattern):
                shutil.copyfile(drawn, FIGURES / drawn.name)
        if name == "twomoon":
            shutil.copyfile(folder / twomoon.PAIRS, RESULTS / twomoon.PAIRS)
    for name, folder, compacted in (
        ("theory", options.theory and options.theory / appraisals.FOLDER, compact_appraisal),
        (
            "certificates",
            options.certificates and options.certificates / "certificates",
            lambda record: record,
        ),
        ("semi_supervised", options.semi_supervised, compact_contestant),
    ):
        if folder is not None:
            _commit(name, folder, compacted)
    if options.synthetic is not None:
        for study, name in SYNTHETIC:
            source = options.synthetic / study / name
            shutil.copyfile(source, (FIGURES if name.endswith(".png") else RESULTS) / name)
    for path, text in build().items():
        write_atomic(path, text)
    draw()


def _commit(
    name: str,
    folder: Path,
    compacted: Callable[[Record], Record],
    tasks: tuple[str, ...] = (),
) -> None:
    """The records of `folder` in compact form, in place of those committed under this name.

    `tasks` are those whose records are kept, by default all: thousands are told by a table.
    """
    read = records.read(folder)
    found = [compacted(record) for record in read if not tasks or record.task in tasks]
    lines = "".join(json.dumps(record.to_dict(), ensure_ascii=False) + "\n" for record in found)
    write_atomic(RESULTS / f"{name}.jsonl", lines)


def compact(record: Record) -> Record:
    """The record without settings, intervals and confidence bins: those follow from the command."""
    account = {
        part: {"by_class": [{name: one[name] for name in _COUNTS} for one in whole["by_class"]]}
        for part, whole in record.account.items()
    }
    return replace(record, config={}, history=[], artifacts={}, training={}, account=account)


def compact_appraisal(record: Record) -> Record:
    """The appraisal without its single rows; the text of a ledger is kept for the first seed."""
    views = [
        {name: x for name, x in view.items() if name not in ("ledger", "short", "text")}
        | {"verdicts": theory_report.verdicts_of(view)}
        | ({"text": view["text"]} if record.seed == 0 else {})
        for view in record.extra["theory"]
    ]
    return replace(record, extra={"theory": views})


def compact_contestant(record: Record) -> Record:
    """The record of a semi-supervised method: accuracies, time, and the budget of its task."""
    student = record.config["task"]["recipe"]["student"]
    budget = {name: student[name] for name in _BUDGET}
    return replace(
        compact(record),
        account={},
        scores={},
        confusion=None,
        metrics={name: record.metrics[name] for name in ("test", "unlabelled")},
        counts={name: record.counts[name] for name in ("labelled", "unlabelled", "test")},
        config={"task": {"recipe": {"student": budget}}},
    )


def committed(name: str) -> list[Record]:
    """The committed records of a study."""
    path = RESULTS / f"{name}.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"no committed records {path}; give --{name.replace('_', '-')}")
    return [Record.of(json.loads(line)) for line in path.read_text().splitlines()]


def runs(name: str) -> list[Record]:
    """The committed records of the main job: runs end in any order, tables have that of `ARMS`."""
    tasks, arms = list(TASKS), list(ARMS)
    return sorted(committed(name), key=lambda run: (tasks.index(run.task), arms.index(run.arm)))


def build() -> dict[Path, str]:
    """Every text that the committed records decide, by its path: tables, summary, README."""
    real, published = runs("real"), committed("twomoon")
    texts = {
        RESULTS / "summary.json": json.dumps(tables.summary(real), indent=2) + "\n",
        RESULTS / "overview.md": tables.overview(real).T.to_markdown() + "\n",
        RESULTS / "overview_few_labels.md": tables.overview(runs("few")).T.to_markdown() + "\n",
    }
    benchmarks = runs("benchmarks")
    texts[RESULTS / "overview_benchmarks.md"] = tables.overview(benchmarks).T.to_markdown() + "\n"
    texts[RESULTS / "beside_the_paper.md"] = published_numbers.markdown([*real, *benchmarks])
    texts[RESULTS / "nyu_depth_prior.md"] = equal_prior.markdown(benchmarks, runs("prior")) + "\n"
    for found in (real, benchmarks):
        for task in dict.fromkeys(record.task for record in found):
            texts[RESULTS / f"results_{task}.md"] = tables.markdown(found, task)
    texts[RESULTS / "twomoon_published.md"] = (
        twomoon.published_table(published).to_markdown(disable_numparse=True) + "\n"
    )
    pairs = pd.read_csv(RESULTS / twomoon.PAIRS)
    texts[RESULTS / "twomoon_fair.md"] = twomoon.fair_markdown(pairs) + "\n"
    told = committed("theory")
    for task in dict.fromkeys(record.task for record in told):
        name, text = theory_report.ledgers(told, task)
        texts[RESULTS / name] = text
    texts[RESULTS / "theory.md"] = theory_report.markdown(told)
    texts[RESULTS / "theory_verdicts.md"] = theory_report.markdown_of_verdicts(told)
    texts[RESULTS / "certificates.md"] = certificates.markdown(committed("certificates"))
    methods = semi_supervised.in_order(committed("semi_supervised"))
    texts[RESULTS / "semi_supervised.md"] = semi_supervised.markdown(methods) + "\n"
    texts[RESULTS / "semi_supervised_against_mke.md"] = semi_supervised.against_mke(methods) + "\n"
    found = pd.read_csv(RESULTS / "dependence.csv")
    texts[RESULTS / "dependence.md"] = dependence.markdown(found) + "\n"
    texts |= {RESULTS / name: (RESULTS / name).read_text() for name in AS_WRITTEN}
    return texts | {README: filled(README.read_text(), texts)}


def filled(text: str, texts: dict[Path, str]) -> str:
    """`text` with every block of results replaced by the file that it names."""
    return _BLOCK.sub(lambda m: f"{m[1]}\n{texts[ROOT / m[2]]}\n{m[3]}", text)


def draw() -> None:
    """The figures that the committed records decide."""
    real = runs("real")
    plots.gain_by_arm(real, FIGURES / "gain_by_arm.png")
    plots.account_by_class(real, FIGURES / "account_by_class.png")
    benchmarks = runs("benchmarks")
    plots.gain_by_arm(benchmarks, FIGURES / "gain_by_arm_benchmarks.png")
    named = [record for record in benchmarks if record.class_names]
    plots_confusion.confusion(named, FIGURES / "confusion.png")
    gains_by_method(
        semi_supervised.in_order(committed("semi_supervised")), FIGURES / "semi_supervised.png"
    )


if __name__ == "__main__":
    sys.exit(main())
