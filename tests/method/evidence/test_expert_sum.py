"""The student as a module: any subset of its modalities, and copies of every kind."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from mke_theory.data.pool import Pool
from mke_theory.method.evidence import Expert, ExpertSum
from mke_theory.method.evidence.arithmetic import as_answered
from mke_theory.method.evidence.expert_sum import Tempered
from mke_theory.method.evidence.experts import fitted
from mke_theory.training.predict import predict
from tests.method.evidence.small import Reads

LOG_PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
OFFSETS = torch.tensor([[0.1, 0.0, -0.2], [0.3, 0.1, 0.0]], dtype=torch.float64)
TABLE = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]], dtype=torch.float64)


def inputs(n: int = 5) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {name: torch.randn(n, 3, generator=draw) for name in "abc"}


def student(**changes: Any) -> ExpertSum:
    """Three experts; that of b is a mean of two models, and that of c speaks of the answer."""
    settings: dict[str, Any] = {"share": 0.5, "exponent": 0.8}
    return ExpertSum(
        [
            Expert([Tempered(Reads("a"), 2.0)], ("a",), LOG_PRIOR, **(settings | changes)),
            Expert([Reads("b"), Reads("b", 2.0)], ("b",), LOG_PRIOR, offsets=OFFSETS),
            Expert([Reads("c")], ("c",), LOG_PRIOR, confusion=TABLE),
        ],
        LOG_PRIOR,
    ).eval()


def parts(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The three experts' evidence by hand."""
    a, b, c = (given[name].double() for name in "abc")
    two = [torch.log_softmax(w * b, 1) - LOG_PRIOR - OFFSETS[i] for i, w in enumerate((1.0, 2.0))]
    return {
        "a": 0.5 * 0.8 * (torch.log_softmax(a / 2, 1) - LOG_PRIOR),
        "b": (two[0] + two[1]) / 2,
        "c": as_answered(torch.log_softmax(c, 1) - LOG_PRIOR, LOG_PRIOR, TABLE),
    }


def by_hand(given: dict[str, Tensor], names: str) -> Tensor:
    found = parts(given)
    total = LOG_PRIOR.expand(len(given["a"]), 3)
    for name in names:
        total = total + found[name]
    return torch.log_softmax(total, 1)


def answer(model: ExpertSum, given: dict[str, Tensor]) -> Tensor:
    with torch.inference_mode():
        return model(given)


CLOSE = {"rtol": 0.0, "atol": 1e-6}


@pytest.mark.parametrize("names", ["a", "b", "c", "ab", "bc", "ac", "abc"])
def test_the_student_reads_any_subset_of_its_modalities(names: str) -> None:
    whole, model = inputs(), student()
    assert model.modalities == ("a", "b", "c")
    expected = by_hand(whole, names)
    absent = answer(model, {name: whole[name] for name in names})
    torch.testing.assert_close(absent, expected, **CLOSE)
    lost = {
        name: x if name in names else torch.full_like(x, torch.nan) for name, x in whole.items()
    }
    torch.testing.assert_close(answer(model, lost), expected, **CLOSE)
    assert absent.dtype == torch.float64


def test_missing_rows_are_each_answered_by_what_they_have() -> None:
    given = inputs(4)
    have = ["abc", "b", "ac", ""]
    for name in "abc":
        for row, names in enumerate(have):
            if name not in names:
                given[name][row] = torch.nan
    found = answer(student(), given)
    for row, names in enumerate(have):
        expected = by_hand(inputs(4), names)[row]
        torch.testing.assert_close(found[row], expected, **CLOSE)
    torch.testing.assert_close(found[3], LOG_PRIOR)


def test_no_modality_at_all_is_an_error_and_others_are_not_read() -> None:
    with pytest.raises(ValueError, match=r"the student reads \('a', 'b', 'c'\); got \('z',\)"):
        student()({"z": torch.zeros(2, 3)})
    with_another = {**inputs(), "z": torch.full((5, 1), 7.0)}
    assert torch.equal(answer(student(), with_another), answer(student(), inputs()))


def test_an_expert_of_two_modalities_needs_both() -> None:
    class Both(Reads):
        def forward(self, inputs: Any) -> Tensor:
            return inputs["a"] + inputs["b"]

    expert, whole = Expert([Both("a")], ("a", "b"), LOG_PRIOR), inputs(3)
    assert bool((expert(whole) != 0).all())
    assert not bool(expert({"a": whole["a"]}).any())
    whole["b"][1] = torch.nan
    assert (expert(whole) != 0).any(1).tolist() == [True, False, True]


def test_answers_do_not_depend_on_the_batch() -> None:
    given = inputs(6)
    given["a"][2] = torch.nan
    pool = Pool(given, torch.zeros(6).long())
    torch.testing.assert_close(predict(student(), pool, batch_size=1), predict(student(), pool))


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_inputs_of_other_precision(kind: torch.dtype) -> None:
    whole = inputs()
    found = answer(student(), {name: x.to(kind) for name, x in whole.items()})
    torch.testing.assert_close(found, answer(student(), whole), atol=5e-3, rtol=0)


def test_a_student_in_single_precision_still_answers() -> None:
    found = answer(student().float(), inputs())
    torch.testing.assert_close(found, answer(student(), inputs()), atol=1e-5, rtol=0)


def test_copies_answer_the_same() -> None:
    model, given = student(), inputs()
    expected = answer(model, given)
    assert torch.equal(answer(copy.deepcopy(model), given), expected)
    assert torch.equal(answer(pickle.loads(pickle.dumps(model)), given), expected)
    kept = io.BytesIO()
    torch.save(model.state_dict(), kept)
    kept.seek(0)
    # A student of other numbers: all that decides the answers is in the dictionary.
    other = student(share=0.9, exponent=3.0)
    for part in other.modules():
        for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
            tensor.data.mul_(0.3)
    assert not torch.allclose(answer(other, given), expected)
    other.load_state_dict(torch.load(kept, weights_only=True))
    assert torch.equal(answer(other, given), expected)


def test_a_student_of_classifiers_is_pickled_with_them() -> None:
    draw = torch.Generator().manual_seed(1)
    pool = Pool({"a": torch.randn(30, 3, generator=draw)}, torch.arange(30) % 3)
    model = ExpertSum(
        [Expert([fitted(LogisticRegression(), pool, 3)], ("a",), LOG_PRIOR)], LOG_PRIOR
    )
    found = answer(pickle.loads(pickle.dumps(model)), inputs())
    assert torch.equal(found, answer(model, inputs()))
    assert torch.equal(answer(copy.deepcopy(model), inputs()), found)


def test_a_tempered_model_answers_softer() -> None:
    given = {"a": torch.tensor([[2.0, 0.0, -4.0]])}
    with torch.inference_mode():
        assert Tempered(Reads("a"), 4.0)(given).tolist() == [[0.5, 0.0, -1.0]]
