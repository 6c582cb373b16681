"""Put results into the form that is committed: compact records, tables, figures.

    python experiments/publish.py --real results/real --few results/few --twomoon results/twomoon
    python experiments/publish.py --benchmarks results/benchmarks
    python experiments/publish.py --theory results/theory --certificates results/certificates
    python experiments/publish.py            rebuild from the committed records

Records go to paper/results, figures to paper/figures and tables to docs/results/generated, where
the pages of the documentation include them. The one table of the README, between the lines
`<!-- results:begin -->` and `<!-- results:end -->`, is written too: no number is written by hand.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
import audit_costs
import certificates
import dependence
import equal_prior
import evidence_guards
import evidence_phase
import evidence_tables
import nyu_pretrained
import outlook
import perturbation_law
import ravdess_folds
import semi_supervised
import twomoon

from mke_theory.command.calls import asked, refused
from mke_theory.data.console import forgiving_console
from mke_theory.report import published as published_numbers
from mke_theory.report import table_files, tables
from mke_theory.report import theory as theory_report
from mke_theory.report.plots import (
    account_by_class,
    confusion_by_arm,
    gain_by_arm,
    gain_by_method,
    save,
)
from mke_theory.study import records
from mke_theory.study import theory_on_runs as appraisals
from mke_theory.study.arms import ARMS, EVIDENCE
from mke_theory.study.records import Record, write_atomic
from mke_theory.tasks.av_digits import AVDigits
from mke_theory.tasks.av_digits.task import CLASSES
from mke_theory.tasks.registry import TASKS
from mke_theory.tasks.toy.twomoon import TwoMoonPublished

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "paper" / "results"
FIGURES = ROOT / "paper" / "figures"
TABLES = ROOT / "docs" / "results" / "generated"
README = ROOT / "README.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
"""The lines of the README between which its table stands."""

IN_README = [
    *(ARMS[arm].title for arm in ("um_teacher", "mm_student", "mm_student_sup")),
    *(ARMS[arm].title for arm in ("mm_student_shuffled",)),
    "gain of MKE",
]
OF_EVIDENCE = [EVIDENCE.title, "gain of evidence"]
"""The columns of the README's table, of those of the overview."""

DRAWN_BY_RUNS = {
    "real": ("regions_*.png",),
    "benchmarks": ("scenes_*.png",),
    "nyu_pretrained": ("scenes_*.png",),
}
"""Figures that need the arrays of a run, and not its records alone."""

BUDGET = ("steps", "batch_size", "optimizer", "learning_rate")
COUNTS = ("n", "corrected", "kept", "damaged", "inherited", "copied")

AS_WRITTEN = (
    ("phase", "cells.csv"),
    ("phase", "closed_form.csv"),
    ("phase", "closed_form.md"),
    ("phase", "phase.png"),
    ("dependence", "dependence.csv"),
    ("dependence", "dependence.png"),
    ("placebo", "placebo.csv"),
    ("placebo", "placebo.md"),
)
"""Files kept of the studies of worlds, whose thousands of records stay where they were made."""

STUDIES_OF_EVIDENCE = ("evidence_guards", "evidence_phase")
"""Studies of evidence students, of which a row a seed is kept."""


ROWS_KEPT = (*STUDIES_OF_EVIDENCE, "audit_costs", "outlook")
"""Studies of which the rows are kept, a seed each, and the table is made of them."""


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
    ear: Path | None = None
    """Output folder of run_real.py on av_digits_ear and av_digits_image_ear, 2, 5 and 20 labels."""
    twomoon: Path | None = None
    """Output folder of twomoon.py."""
    theory: Path | None = None
    """Output folder of run_real.py with --theory 5: its appraisals."""
    certificates: Path | None = None
    """Output folder of certificates.py."""
    semi_supervised: Path | None = None
    """Output folder of semi_supervised.py."""
    evidence: Path | None = None
    """Output folder of run_real.py with evidence students and MKE at ten seeds."""
    entrants: Path | None = None
    """Output folder of semi_supervised.py with evidence students among the best of the others."""
    own_data: Path | None = None
    """Output folder of own_data.py."""
    perturbation_law: Path | None = None
    """Output folder of perturbation_law.py."""
    tightness: Path | None = None
    """Output folder of tightness.py."""
    synthetic: Path | None = None
    """Folder with the output folders of run_synthetic.py: phase, dependence, placebo."""
    ravdess_folds: Path | None = None
    """Output folder of ravdess_folds.py with `--ears log-mel embedding both`."""
    nyu_pretrained: Path | None = None
    """Output folder of nyu_pretrained.py."""
    evidence_guards: Path | None = None
    """Output folder of evidence_guards.py."""
    evidence_phase: Path | None = None
    """Output folder of evidence_phase.py."""
    audit_costs: Path | None = None
    """Output folder of audit_costs.py."""
    outlook: Path | None = None
    """Output folder of outlook.py."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0, or 2 where a folder has no records, a file of a study is not there, or one is damaged."""
    options = asked(Options, argv, __doc__)
    try:
        publish(options)
    except (OSError, ValueError) as problem:
        return refused(problem)
    return 0


def publish(options: Options) -> None:
    """Commit the records of finished studies, then write and draw all that records decide."""
    for place in (RESULTS, FIGURES, TABLES):
        place.mkdir(parents=True, exist_ok=True)
    for name in ("real", "benchmarks", "prior", "few", "ear", "twomoon", "evidence"):
        folder: Path | None = getattr(options, name)
        if folder is None:
            continue
        # Of TwoMoon's two protocols one has thousands of records, which a table stands for.
        _commit(name, folder, compact, (TwoMoonPublished.name,) if name == "twomoon" else ())
        _keep_drawn(name, folder)
    if options.theory is not None:
        _commit("theory", options.theory / appraisals.FOLDER, compact_appraisal)
    if options.certificates is not None:
        _commit("certificates", options.certificates / "certificates", lambda record: record)
    for name in ("semi_supervised", "entrants"):
        if getattr(options, name) is not None:
            _commit(name, getattr(options, name), compact_contestant)
    if options.perturbation_law is not None:
        _commit("perturbation_law", options.perturbation_law, perturbation_law.compact)
    if options.ravdess_folds is not None:
        _commit("ravdess_folds", options.ravdess_folds, ravdess_folds.compact)
    if options.nyu_pretrained is not None:
        _commit("nyu_pretrained", options.nyu_pretrained, nyu_pretrained.compact)
        _keep_drawn("nyu_pretrained", options.nyu_pretrained)
    for source in _as_written(options):
        place = {".csv": RESULTS, ".png": FIGURES, ".md": TABLES}[source.suffix]
        shutil.copyfile(source, place / source.name)
    for name, text in build().items():
        write_atomic(TABLES / name, text)
    write_atomic(RESULTS / "summary.json", summary())
    write_atomic(README, with_table(README.read_text(encoding="utf-8"), readme_table()))
    draw()


def _keep_drawn(name: str, folder: Path) -> None:
    """Keep the figures of a study that only its runs can draw."""
    for pattern in DRAWN_BY_RUNS.get(name, ()):
        for drawn in folder.glob(pattern):
            shutil.copyfile(drawn, FIGURES / drawn.name)


def _as_written(options: Options) -> list[Path]:
    """Files that a study wrote and that are kept as they are."""
    found = []
    if options.twomoon is not None:
        found.append(options.twomoon / twomoon.PAIRS)
    if options.tightness is not None:
        found += [options.tightness / name for name in ("tightness.md", "tightness.png")]
    if options.own_data is not None:
        found += [options.own_data / name for name in ("own_data.md", "own_data.png")]
    if options.synthetic is not None:
        found += [options.synthetic / study / name for study, name in AS_WRITTEN]
    for study in ROWS_KEPT:
        folder: Path | None = getattr(options, study)
        if folder is not None:
            endings = (".csv", ".png") if study in STUDIES_OF_EVIDENCE else (".csv",)
            found += [folder / f"{study}{ending}" for ending in endings]
    return found


def _commit(
    name: str,
    folder: Path,
    compacted: Callable[[Record], Record],
    tasks: tuple[str, ...] = (),
) -> None:
    """The records of `folder` in compact form, in place of those committed under this name.

    `tasks` are those whose records are kept, by default all.
    """
    read = records.read(folder)
    found = [compacted(record) for record in read if not tasks or record.task in tasks]
    lines = "".join(json.dumps(record.to_dict(), ensure_ascii=False) + "\n" for record in found)
    write_atomic(RESULTS / f"{name}.jsonl", lines)


def compact(record: Record) -> Record:
    """The record without settings, intervals and confidence bins: those follow from the command."""
    account = {
        part: {"by_class": [{name: one[name] for name in COUNTS} for one in whole["by_class"]]}
        for part, whole in record.account.items()
    }
    return replace(record, config={}, history=[], artifacts={}, training={}, account=account)


def compact_appraisal(record: Record) -> Record:
    """The appraisal without its single rows; the text of a ledger is kept for the first seed."""
    views = [
        {name: x for name, x in view.items() if name not in ("ledger", "text")}
        | {"verdicts": theory_report.verdicts_of(view)}
        | ({"text": view["text"]} if record.seed == 0 else {})
        for view in record.extra["theory"]
    ]
    return replace(record, extra={"theory": views})


def compact_contestant(record: Record) -> Record:
    """The record of a semi-supervised method: accuracies, time, and the budget of its task."""
    student = record.config["task"]["recipe"]["student"]
    budget = {name: student[name] for name in BUDGET}
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
    return [Record.of(json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def runs(name: str) -> list[Record]:
    """The committed records of the main job: runs end in any order, tables have that of `ARMS`."""
    tasks, arms = list(TASKS), list(ARMS)
    return sorted(committed(name), key=lambda run: (tasks.index(run.task), arms.index(run.arm)))


def summary() -> str:
    """The content of summary.json: mean, sd and n of every metric of the main job."""
    return json.dumps(tables.summary(runs("real")), indent=2) + "\n"


def build() -> dict[str, str]:
    """Every table that the committed records decide, as Markdown by the name of its file."""
    real, benchmarks = runs("real"), runs("benchmarks")
    contestants = semi_supervised.in_order(committed("semi_supervised"))
    seeds = {study: pd.read_csv(RESULTS / f"{study}.csv") for study in ROWS_KEPT}
    return {
        "overview.md": _overview(real),
        "overview_few_labels.md": _overview(runs("few")),
        "overview_benchmarks.md": _overview(benchmarks),
        "pretrained_ear.md": _overview(by_labels(runs("ear"))),
        "beside_the_paper.md": published_numbers.markdown([*real, *benchmarks]),
        "nyu_depth_prior.md": equal_prior.markdown(benchmarks, runs("prior")) + "\n",
        **{f"results_{task}.md": table_files.markdown(real, task) for task in _tasks(real)},
        **{
            f"results_{task}.md": table_files.markdown(benchmarks, task)
            for task in _tasks(benchmarks)
        },
        "twomoon_published.md": _plain(twomoon.published_table(committed("twomoon"))),
        "twomoon_fair.md": twomoon.fair_markdown(pd.read_csv(RESULTS / twomoon.PAIRS)) + "\n",
        **_of_theory(committed("theory")),
        "certificates.md": certificates.markdown(committed("certificates")),
        "semi_supervised.md": semi_supervised.markdown(contestants) + "\n",
        "semi_supervised_against_mke.md": semi_supervised.against_mke(contestants) + "\n",
        "evidence_beside_mke.md": evidence_tables.beside_mke(runs("evidence")) + "\n",
        "evidence_nyu_depth.md": table_files.markdown(runs("evidence"), "nyu_depth"),
        "evidence_among_methods.md": evidence_tables.among_methods(
            semi_supervised.in_order(committed("entrants"))
        )
        + "\n",
        "perturbation_law.md": perturbation_law.text_of(committed("perturbation_law")),
        "ravdess_folds.md": ravdess_folds.markdown(committed("ravdess_folds")),
        "nyu_pretrained.md": nyu_pretrained.markdown(committed("nyu_pretrained")),
        "dependence.md": dependence.markdown(pd.read_csv(RESULTS / "dependence.csv")) + "\n",
        "evidence_guards.md": evidence_guards.markdown(seeds["evidence_guards"]),
        "evidence_phase.md": evidence_phase.markdown(seeds["evidence_phase"]),
        "audit_costs.md": audit_costs.markdown(seeds["audit_costs"]),
        "outlook.md": outlook.markdown(seeds["outlook"]),
    }


def _of_theory(appraised: list[Record]) -> dict[str, str]:
    return {
        "theory.md": theory_report.markdown(appraised),
        "theory_verdicts.md": theory_report.markdown_of_verdicts(appraised),
        **dict(theory_report.ledgers(appraised, task) for task in _tasks(appraised)),
    }


def _overview(found: list[Record]) -> str:
    return tables.overview(found).T.to_markdown() + "\n"


def by_labels(found: Iterable[Record]) -> list[Record]:
    """The records under the names of their tasks and numbers of labels a class, fewest first."""
    ordered = sorted(found, key=lambda run: (list(TASKS).index(run.task), _labels(run)))
    return [replace(run, task=f"{run.task}, {_labels(run)} a class") for run in ordered]


def _labels(run: Record) -> int:
    return run.counts["labelled"] // CLASSES


def _plain(table: pd.DataFrame) -> str:
    return table.to_markdown(disable_numparse=True) + "\n"


def _tasks(found: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record.task for record in found))


def readme_table() -> pd.DataFrame:
    """The one table of the README: a row for each task of the main job.

    Columns of evidence students are of a run of their own, at more seeds; with a pre-trained ear,
    and on NYU Depth V2 with a pre-trained encoder, they are of the same run, at the usual labels.
    """
    ear = [run for run in runs("ear") if _labels(run) == AVDigits.labels_per_class]
    usual = [run for run in committed("nyu_pretrained") if nyu_pretrained.is_usual(run)]
    whole = tables.overview([*runs("real"), *ear, *runs("benchmarks"), *usual])[IN_README]
    evidence = tables.overview([*runs("evidence"), *ear, *usual])[OF_EVIDENCE]
    return whole.join(evidence).fillna(tables.NOT_AVAILABLE)


def with_table(text: str, table: pd.DataFrame) -> str:
    """`text` with the table between its two lines; ValueError where they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README has no lines {BEGIN} and {END}; put them back")
    return f"{before}{BEGIN}\n\n{_plain(table)}\n{END}{after}"


def draw() -> None:
    """The figures that the committed records decide."""
    real, benchmarks = runs("real"), runs("benchmarks")
    contestants = semi_supervised.in_order(committed("semi_supervised"))
    named = [record for record in benchmarks if record.class_names]
    for name, figure in (
        ("gain_by_arm", gain_by_arm(real)),
        ("account_by_class", account_by_class(real)),
        ("gain_by_arm_benchmarks", gain_by_arm(benchmarks)),
        ("confusion", confusion_by_arm(named)),
        ("semi_supervised", gain_by_method(contestants)),
        ("outlook", outlook.figure(pd.read_csv(RESULTS / "outlook.csv"))),
    ):
        save(figure, FIGURES / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
