"""The twin of a task: a world made from its own numbers has the accuracies that were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.twin import coordinates, twin


def test_the_twin_of_a_gaussian_world_is_that_world() -> None:
    world = Gaussian((1.0, 1.5), dims=(6, 4))
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(40):
        known, test = world.sample(100, rng), world.sample(2000, rng)
        model = LogisticRegression().fit(known.inputs["x1"], known.labels)
        scores.append(model.score(test.inputs["x1"], test.labels))
    beta = 1 - float(world.bayes_error(("x2",)))
    found = twin(np.array([0.5, 0.5]), (6, 4), 100, float(np.mean(scores)), beta)
    assert found.signal[1] == pytest.approx(1.5, abs=0.01)
    assert found.signal[0] == pytest.approx(1.0, abs=0.06)  # of six draws of D_l
    assert found.dims == (6, 4)


def test_classes_and_their_shares() -> None:
    found = twin(np.array([0.5, 0.3, 0.2]), (1, 9), 90, 0.6, 0.9)
    assert found.classes == 3 and found.dims == (2, 9)
    np.testing.assert_allclose(found.priors, [0.5, 0.3, 0.2])
    assert 1 - float(found.bayes_error(("x2",))) == pytest.approx(0.9, abs=0.005)


def test_accuracies_that_no_signal_gives() -> None:
    found = twin(np.array([0.5, 0.5]), (2, 2), 40, 0.1, 0.2)
    assert max(found.signal) < 0.01


def test_coordinates_by_hand() -> None:
    x = np.array([[10.0, 0.0], [-10.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert coordinates(x) == 1 and coordinates(x, 0.999) == 2
    assert coordinates(np.ones((5, 3))) == 1


@pytest.mark.parametrize(
    ("labelled", "alpha", "message"), [(3, 0.5, "two labels of each"), (50, 1.2, "alpha_accuracy")]
)
def test_bad_input(labelled: int, alpha: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        twin(np.array([0.5, 0.5]), (2, 2), labelled, alpha, 0.8)
