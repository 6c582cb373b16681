"""A teacher known by its answers: what they may be, and Algorithm 1 by them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from mke_theory.data.pool import Pool
from mke_theory.data.rng import torch_seed
from mke_theory.method.algorithm import expand, pseudo_label
from mke_theory.method.answers import Answers
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.transforms import InputNoise
from mke_theory.models.known_answers import KnownAnswers
from mke_theory.training.predict import predict
from tests.method.evidence.small import Reads
from tests.study.toys import SHORT, Questions, Toy, same


def test_answers_are_logits() -> None:
    given = Answers(torch.zeros(3, 2), torch.ones(1, 2))
    assert given.unlabelled.shape == (3, 2)
    p = np.array([[0.2, 0.8], [1.0, 0.0]])
    found = Answers.of_probabilities(p, torch.tensor([[0.5, 0.5]]))
    again = torch.softmax(found.unlabelled, 1)
    torch.testing.assert_close(again, torch.from_numpy(p), atol=2e-6, rtol=0)
    assert found.labelled is not None and bool(torch.isfinite(found.unlabelled).all())
    assert Answers.of_probabilities(p).labelled is None


@pytest.mark.parametrize(
    ("unlabelled", "labelled", "message"),
    [
        (torch.zeros(3), None, r"unlabelled answers are \(3,\)"),
        (torch.zeros(3, 0), None, r"\[n, q\] for questions"),
        (torch.tensor([[0.2, 0.8]]), None, r"probabilities of classes; Answers takes logits"),
        (torch.zeros(3, 2, 4), None, r"have to be \[n, k\], or \[n, k, h, w\] for pixels, or"),
        (torch.tensor([[0.0, torch.nan]]), None, "unlabelled answers have NaN in row 0"),
        (torch.full((2, 2), torch.nan), None, "unlabelled answers are NaN in every row"),
        (torch.zeros(3, 2), torch.tensor([[0.0, torch.inf]]), "labelled answers have an infinite"),
        (torch.zeros(3, 2), torch.zeros(3, 3), "but for n they have to be equal"),
    ],
)
def test_answers_that_are_refused(unlabelled: Tensor, labelled: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Answers(unlabelled, labelled)


def test_answers_have_to_be_tensors() -> None:
    with pytest.raises(TypeError, match="unlabelled answers are a ndarray"):
        Answers(np.zeros((3, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "p",
    [
        [[0.5, 0.6]],
        [[1.5, -0.5]],
        [0.5, 0.5],
        [[np.nan, 1.0]],
        [[2.0, -3.0]],
        [[np.nan, np.nan]],
        [[np.nan, np.nan], [0.5, 0.6]],
    ],
)
def test_probabilities_that_are_refused(p: Any) -> None:
    with pytest.raises(ValueError, match=r"probabilities are|NaN in row"):
        Answers.of_probabilities(np.array(p))


# --- Algorithm 1 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("multilabel", [False, True])
def test_a_student_of_answers_is_that_of_the_network(
    kind: Literal["hard", "soft"], multilabel: bool
) -> None:
    task = Questions() if multilabel else Toy()
    problem = task.problem(0)
    with torch_seed(0):
        teacher = task.model(problem, ("a",))
    objective = Objective(
        pseudo_labels=PseudoLabelTerm(kind=kind, threshold=0.4),
        transform=(InputNoise(0.5),),
        multilabel=multilabel,
    )
    answers = Answers(predict(teacher, problem.unlabelled))
    found = []
    for given in (teacher, answers):
        with torch_seed(1):
            student = task.model(problem, ("a", "b"))
        found.append(
            expand(given, problem.unlabelled, student, objective=objective, config=SHORT, seed=3)
        )
    assert same(found[0].student, found[1].student)
    assert found[0].account == found[1].account
    assert torch.equal(found[0].pseudo.target, found[1].pseudo.target)


def test_probabilities_teach_what_their_logits_teach() -> None:
    task = Toy()
    problem = task.problem(0)
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(21, 3, generator=draw)
    both = Answers(logits), Answers.of_probabilities(logits.softmax(1))
    soft = Objective(pseudo_labels=PseudoLabelTerm(kind="soft"))
    students = []
    for answers in both:
        with torch_seed(1):
            student = task.model(problem, ("a", "b"))
        done = expand(answers, problem.unlabelled, student, objective=soft, config=SHORT)
        students.append(predict(done.student, problem.test))
    torch.testing.assert_close(students[0], students[1], atol=1e-3, rtol=1e-3)


def test_probabilities_are_not_taken_for_logits() -> None:
    p = torch.tensor([[1 + 1e-6, -1e-6, 0.0], [0.2, 0.3, 0.5]])
    with pytest.raises(ValueError, match="Answers takes logits"):
        Answers(p)
    with pytest.raises(ValueError, match="Answers takes logits"):
        Answers(torch.tensor([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]).half().float() * (1 + 3e-4))
    with pytest.raises(ValueError, match=r"^labelled answers are prob"):
        Answers(torch.randn(2, 3), torch.tensor([[0.2, 0.3, 0.5]]))
    problem = Questions().problem(0)
    asked = Answers(torch.rand(problem.unlabelled.labels.shape))
    with pytest.raises(ValueError, match=r"lie in \[0, 1\], .* Answers takes log odds"):
        pseudo_label(asked, problem.unlabelled)


def test_answers_for_other_samples_are_refused() -> None:
    problem = Toy().problem(0)
    with pytest.raises(ValueError, match="there are 20 answers for 21 samples of D_u"):
        pseudo_label(Answers(torch.zeros(20, 3)), problem.unlabelled)


def test_answers_of_which_some_are_missing_are_those_of_the_rest() -> None:
    problem = Toy().problem(0)
    p = torch.rand(21, 3, generator=torch.Generator().manual_seed(0))
    p = p / p.sum(1, keepdim=True)
    p[[2, 7]] = torch.nan
    found = pseudo_label(Answers.of_probabilities(p), problem.unlabelled)
    assert (found.target == -1).nonzero()[:, 0].tolist() == [2, 7]
    with pytest.raises(ValueError, match="Answers takes logits"):
        Answers(p)


def test_where_there_is_no_answer_a_student_learns_nothing() -> None:
    answers = torch.tensor([[2.0, 0.0], [torch.nan, torch.nan], [3.0, 0.0], [0.0, 1.0]])
    pool = Pool({"x": torch.zeros(4, 2)}, torch.full((4,), -1), answers=answers)
    teacher = KnownAnswers.on(pool)
    hard = pseudo_label(teacher, pool)
    # By hand: the mean probability of class 0 is (σ(2) + σ(3) + σ(−1))/3 = 0.701.
    assert hard.hard.tolist() == [0, 0, 0, 1] and hard.target.tolist() == [0, -1, 0, 1]
    assert float(hard.confidence[1]) == pytest.approx(0.7008, abs=1e-4)
    soft = pseudo_label(teacher, pool, Objective(pseudo_labels=PseudoLabelTerm(kind="soft")))
    assert soft.target[1].tolist() == [0.0, 0.0]
    questions = pool.with_labels(torch.full((4, 2), -1.0))
    many = Objective(pseudo_labels=PseudoLabelTerm(kind="soft"), multilabel=True)
    found = pseudo_label(KnownAnswers.on(questions), questions, many)
    assert bool(found.target[1].isnan().all()) and not bool(found.target[[0, 2, 3]].isnan().any())
    # A network that answers NaN is still refused: it was asked, and broke.
    network = Reads("x")
    broken = Pool({"x": answers}, pool.labels)
    with pytest.raises(ValueError, match="not finite for sample 1 of 4"):
        pseudo_label(network, broken)
