"""Real tasks: predictions, a table and somebody who knows the classes lead to a verdict.

The verdict is false with probability at most 5% a task where the student is no better; here it is
better by more than five points on each, and the seed is fixed.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mke_theory.command.audit import main
from mke_theory.study.arms import EVIDENCE
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.result import Cell, Result, Run
from mke_theory.study.runner import run, train_teachers
from mke_theory.tasks.registry import TASKS
from tests.audit.made_pools import fill, rows_of
from tests.conftest import data_folder

DATA = {"digits": None, "av_digits": "av_digits", "ravdess_audio": "ravdess"}


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_a_table_leads_to_better_than_the_teacher(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = DATA[name]
    task = TASKS[name] if folder is None else TASKS[name].at(data_folder(folder).parent)
    configuration, cell = RunConfiguration(), Cell(task, 0)
    teachers = train_teachers([cell], configuration)
    (found,) = run([Run(task, EVIDENCE, 0)], configuration, teachers=teachers)
    assert isinstance(found, Result)
    student, teacher = found.predictions["unlabelled"].numpy(), found.pseudo.hard.numpy()
    truth = found.problem.truth.labels.numpy()
    assert (student == truth).mean() > (teacher == truth).mean() + 0.05
    monkeypatch.chdir(tmp_path)
    with Path("predictions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "student", "teacher"])
        table.writerows(zip(np.arange(len(truth)), student, teacher, strict=True))
    code, sittings = main(["compare", "predictions.csv"]), 0
    while code == 3:
        fill(Path("to_label.csv"), lambda row: str(truth[int(row["id"])]))
        code, sittings = main(["compare", "predictions.csv"]), sittings + 1
    printed = capsys.readouterr().out
    print(printed)
    assert code == 0
    assert "The student is better than its teacher (95%), after" in printed
    assert sittings <= 6 and len(rows_of(Path("to_label.csv"))) <= 120
