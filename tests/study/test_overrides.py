"""Settings by path: what exists is set in its own type, what does not is an error that lists it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.method.objective import Anchor, Consistency, Objective, PseudoLabelTerm
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.study.overrides import changed
from mke_theory.study.task import Recipe
from mke_theory.tasks.toy.digits import Digits
from mke_theory.training.loop import TrainConfig


@dataclass(frozen=True)
class Part:
    size: int = 3
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Tree:
    label: ClassVar[str] = "not a setting"

    steps: int = 10
    rate: float = 0.5
    deep: bool = False
    text: str = "a"
    kind: Literal["sgd", "adamw"] = "sgd"
    limit: int | None = None
    either: int | str = 0
    sizes: tuple[int, ...] = (1,)
    pair: tuple[str, float] = ("a", 1.0)
    part: Part = field(default_factory=Part)
    parts: tuple[Part, ...] = (Part(), Part())

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it has to be at least 1")


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("steps=5", Tree(steps=5)),
        ("rate=1e-3", Tree(rate=1e-3)),
        ("rate=2", Tree(rate=2.0)),
        ("rate=inf", Tree(rate=float("inf"))),
        ("deep=true", Tree(deep=True)),
        ("deep=False", Tree(deep=False)),
        ("text=b=c", Tree(text="b=c")),
        ("text=", Tree(text="")),
        ("text=none", Tree(text="none")),
        ("kind=adamw", Tree(kind="adamw")),
        ("limit=7", Tree(limit=7)),
        ("limit=None", Tree(limit=None)),
        ("either=7", Tree(either=7)),
        ("either=seven", Tree(either="seven")),
        ("sizes=4,5", Tree(sizes=(4, 5))),
        ("sizes=", Tree(sizes=())),
        ("part.size=9", Tree(part=Part(size=9))),
        ("part.names=left,right", Tree(part=Part(names=("left", "right")))),
        ("part.names=none", Tree()),
        ("parts.1.size=9", Tree(parts=(Part(), Part(size=9)))),
        ("parts.0.names=a", Tree(parts=(Part(names=("a",)), Part()))),
    ],
)
def test_a_path_sets_one_field_in_its_own_type(assignment: str, expected: Tree) -> None:
    found = changed(Tree(), assignment)
    assert found == expected
    assert repr(found) == repr(expected)  # 2 == 2.0 and 1 == True, but their types differ


def test_settings_that_depend_on_each_other_come_in_any_order() -> None:
    few = TrainConfig(steps=10, warmup_steps=5)
    wanted = ("warmup_steps=50", "steps=100")
    for order in (wanted, wanted[::-1]):
        assert changed(few, *order) == TrainConfig(steps=100, warmup_steps=50)
    with pytest.raises(ValueError, match="warmup_steps is 50"):
        changed(few, "warmup_steps=50")


def test_of_two_settings_for_one_path_the_later_counts_and_items_add_up() -> None:
    tree = changed(Tree(parts=(Part(1), Part(2))), "steps=3", "parts.0.size=5", "steps=4")
    assert tree == Tree(steps=4, parts=(Part(5), Part(2)))
    both = changed(tree, "parts.0.size=6", "parts.1.size=7", "parts.0.names=a")
    assert both.parts == (Part(6, ("a",)), Part(7))


def test_the_original_stays_as_it_was() -> None:
    tree = Tree(parts=(Part(1), Part(2)))
    other = changed(tree, "parts.0.size=5")
    assert tree == Tree(parts=(Part(1), Part(2)))
    assert other.parts[1] is tree.parts[1]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("steps", "'steps' is not of the form path=value"),
        ("=5", "'=5' is not of the form path=value"),
        ("step=5", "step: there is no 'step'; there are steps, rate, deep, text, kind, limit"),
        ("label=x", "there is no 'label'"),
        (".steps=5", "there is no ''; there are steps"),
        ("part.sizes=5", "part.sizes: there is no 'sizes'; there are size, names"),
        ("steps.more=5", "steps.more: int has no field 'more'"),
        ("steps=5.0", "steps: '5.0' is not a whole number"),
        ("steps=", "steps: '' is not a whole number"),
        ("steps=0", "steps is 0; it has to be at least 1"),
        ("rate=fast", "rate: 'fast' is not a number"),
        ("rate=nan", "rate: 'nan' is not a number"),
        ("deep=1", "deep: '1' is not true or false"),
        ("kind=adam", "kind: 'adam' is not one of 'sgd', 'adamw'"),
        ("limit=many", "limit: 'many' is not a whole number, or none"),
        ("sizes=4,x", "sizes: 'x' is not a whole number"),
        ("pair=b,2", "pair: a tuple.* is set field by field"),
        ("part=5", "part: a Part is set field by field"),
        ("parts=5", "parts: a Part is set field by field"),
        ("parts.2.size=9", r"parts.2.size: name an item .* items: 0 \(Part\), 1 \(Part\)"),
        ("parts.-1.size=9", "name an item by its number"),
        ("parts.².size=9", "name an item by its number"),
        ("parts.size=9", "name an item by its number"),
        ("parts.0=9", "name an item by its number and a field of it"),
        ("parts.0.sizes=9", "parts.0.sizes: there is no 'sizes'; there are size, names"),
        ("sizes.0.x=9", "sizes.0.x: int has no field 'x'"),
    ],
)
def test_what_does_not_exist_or_fit_is_an_error(assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        changed(Tree(), assignment)


def test_an_empty_tuple_has_no_items() -> None:
    with pytest.raises(ValueError, match="items: none"):
        changed(Tree(parts=()), "parts.0.size=1")


def test_what_is_no_dataclass_has_no_settings() -> None:
    for value in (5, Tree):
        with pytest.raises(ValueError, match="has no field 'steps'"):
            changed(value, "steps=5")


@given(st.integers(1, 10**12), st.floats(allow_nan=False), st.text(), st.booleans())
def test_values_survive_being_written_out(steps: int, rate: float, text: str, deep: bool) -> None:
    tree = Tree()
    for name, value in (("steps", steps), ("rate", rate), ("text", text), ("deep", deep)):
        tree = changed(tree, f"{name}={value}")
    assert tree == Tree(steps=steps, rate=rate, text=text, deep=deep)


def test_the_settings_of_a_task() -> None:
    objective = Objective(transform=(InputNoise(0.5), ModalityDropout(0.5)))
    digits = Digits(recipe=Recipe(objective=objective))
    task = changed(digits, "recipe.student.batch_size=none")
    task = changed(task, "recipe.objective.consistency.distance=kl")
    task = changed(task, "recipe.objective.pseudo_labels.threshold=0.5")
    task = changed(
        task, "recipe.objective.anchor.source=stopped", "recipe.objective.anchor.transform=same"
    )
    task = changed(task, "recipe.objective.transform.0.strength=2")
    task = changed(task, "recipe.objective.transform.1.only=left,right")
    assert task.recipe.student.batch_size is None
    assert task.recipe.objective.consistency == Consistency(distance="kl")
    assert task.recipe.objective.pseudo_labels == PseudoLabelTerm(threshold=0.5)
    assert task.recipe.objective.anchor == Anchor("same", "stopped")
    first, second = task.recipe.objective.transform
    assert isinstance(first, InputNoise)
    assert first.strength == 2.0
    assert isinstance(second, ModalityDropout)
    assert second.only == ("left", "right")
    for assignment, message in [
        ("recipe.student.optimizer=adam", "'adam' is not one of 'adamw', 'sgd'"),
        ("recipe.objective.consistency=kl", "a Consistency is set field by field"),
        ("recipe.objective.consistency.distance=l2", "'l2' is not one of 'squared_l2', 'kl'"),
        ("recipe.objective.consistency.gamma=-1", "gamma is -1.0"),
        ("recipe.objective.gamma=1", "there is no 'gamma'; there are transform, pseudo_labels"),
        ("recipe.objective.transform.0.strength=-1", "strength is -1.0"),
        ("recipe.objective.transform.9.strength=1", r"items: 0 \(InputNoise\), 1 \(Mod"),
        ("recipe.objective.transform.0.scale=a,1", "scale: a tuple.* is set field by field"),
        ("name=other", "there is no 'name'"),
    ]:
        with pytest.raises(ValueError, match=message):
            changed(digits, assignment)


def test_a_pair_is_written_with_a_comma() -> None:
    from mke_theory.tasks.nyu_depth.task import NYUDepth

    assert changed(NYUDepth(), "size=24,32").size == (24, 32)
    for wrong, message in (("24", "1 parts; 2 are needed"), ("24,a", "'a' is not a whole number")):
        with pytest.raises(ValueError, match=message):
            changed(NYUDepth(), f"size={wrong}")
