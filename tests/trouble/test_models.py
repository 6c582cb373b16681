"""Generated trouble for teachers and students of one's own: a right answer or a message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.method.algorithm import expand, fit_teacher
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.training.loop import TrainConfig
from mke_theory.training.predict import predict
from tests.trouble.outcomes import outcome, told

Then = Callable[[Tensor], Any]
ANSWERS: tuple[Then, ...] = (
    *[lambda z: z] * 12,
    lambda z: z[:, :1],
    lambda z: z[:, 0],
    lambda z: z.softmax(1),
    lambda z: z.log_softmax(1),
    lambda z: z.sigmoid(),
    lambda z: z.argmax(1),
    lambda z: (z, None),
    lambda z: {"logits": z},
    lambda z: None,
    lambda z: z[1:],
    lambda z: z.sum(),
    lambda z: z * torch.nan,
    lambda z: z.double(),
    lambda z: z.detach().numpy(),
)
PRECISIONS = (*[torch.float32] * 4, torch.float64, torch.float16)


class Model(nn.Module):
    """A layer on some modalities, perhaps batch norm, and what is made of its numbers."""

    def __init__(self, read: str, then: Then, outputs: int, *, norm: bool) -> None:
        super().__init__()
        self.read, self.then = read, then
        self.layer = nn.Linear(3 * len(read), outputs)
        self.norm = nn.BatchNorm1d(outputs) if norm else nn.Identity()

    def forward(self, inputs: dict[str, Tensor]) -> Any:
        x = torch.cat([inputs[m].nan_to_num() for m in self.read], dim=1)
        return self.then(self.norm(self.layer(x)))


def model(rng: np.random.Generator, read: str) -> Any:
    if rng.random() < 0.03:
        return (lambda inputs: inputs["a"], "model", None, nn.Linear(3, 3))[rng.integers(4)]
    then = ANSWERS[rng.integers(len(ANSWERS))]
    read = "z" if rng.random() < 0.03 else read
    made = Model(read, then, int(rng.choice([3, 3, 3, 2, 5])), norm=rng.random() < 0.2)
    return made.to(torch.float64) if rng.random() < 0.1 else made


def pool(rng: np.random.Generator, n: int, *, known: bool) -> Pool:
    kind = PRECISIONS[rng.integers(len(PRECISIONS))]
    given = {m: torch.from_numpy(rng.normal(size=(n, 3))).to(kind) for m in "ab"}
    if rng.random() < 0.2:
        given["b"][rng.integers(n)] = torch.nan
    labels = torch.from_numpy(rng.integers(0, 3, n) if known else np.full(n, -1))
    forms: list[Callable[[], Tensor]] = [lambda: labels] * 10
    forms += [lambda: labels.float(), lambda: labels[:, None], lambda: labels.to(torch.int8)]
    return Pool(given, forms[rng.integers(len(forms))]())


def check(seed: int) -> None:
    """Raise AssertionError where a teacher changes, or predictions are no classes."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed % 2**31)
    n = int(rng.choice([1, 2, 5, 9]))
    config = TrainConfig(steps=2, batch_size=int(rng.choice([1, 4, 16])))
    if rng.random() < 0.4:
        labelled = pool(rng, n, known=True).only(["a"])
        fitted = fit_teacher(model(rng, "a"), labelled, config).model
        assert bool(torch.isfinite(predict(fitted, labelled)).all())
        return
    unlabelled = pool(rng, n, known=rng.random() < 0.5)
    teacher, student = model(rng, "a"), model(rng, "ab")
    if rng.random() < 0.1 and isinstance(teacher, Model) and isinstance(student, Model):
        student.norm = teacher.norm
    kind = "soft" if rng.random() < 0.3 else "hard"
    objective = Objective(pseudo_labels=PseudoLabelTerm(kind=kind))
    before = (
        {k: v.clone() for k, v in teacher.state_dict().items()}
        if isinstance(teacher, Model)
        else {}
    )
    found = expand(teacher, unlabelled, student, objective=objective, config=config)
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())
    assert found.predictions.shape == found.pseudo.hard.shape == (n,)
    assert int(found.predictions.min()) >= 0
    assert torch.equal(found.pseudo.hard, predict(teacher, unlabelled).argmax(1))


def campaign(examples: int) -> Counter[str]:
    counts: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**32 - 1))
    def meet(seed: int) -> None:
        counts[outcome(lambda: check(seed))] += 1

    meet()
    return counts


def test_models_in_trouble() -> None:
    told(campaign(400))


@pytest.mark.slow
def test_models_in_much_trouble() -> None:
    told(campaign(20_000))
