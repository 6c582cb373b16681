"""The parts of the main job, timed from outside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pandas as pd
import pytest

from benchmarks import main_job


def ticking(*seconds: float) -> main_job.Clock:
    """A clock that shows these seconds in turn, the processor's being half of them."""
    shown = iter(seconds)

    def now() -> tuple[float, float]:
        second = next(shown)
        return second, second / 2

    return main_job.Clock(now)


def test_a_part_inside_another_is_taken_off_it() -> None:
    clock = ticking(0.0, 1.0, 4.0, 6.0, 7.0)
    clock.enter("rest")
    clock.enter("theory")  # 1 s of the rest are over
    clock.enter("reading")  # 3 s of theory
    clock.leave()  # 2 s of reading
    clock.leave()  # 1 s more of theory
    assert clock.seconds == {"rest": [1.0, 0.5], "theory": [4.0, 2.0], "reading": [2.0, 1.0]}
    assert clock.calls == {"rest": 1, "theory": 1, "reading": 1}


def test_the_table_has_shares_of_all() -> None:
    clock = ticking(0.0, 1.0, 4.0, 5.0)
    clock.enter("rest")
    clock.enter("training")
    clock.leave()
    clock.leave()
    shown = main_job.table(clock, pd)
    assert shown["s"].to_dict() == {"training": "3.0", "rest": "2.0", "all": "5.0"}
    assert shown["share, %"].tolist() == ["60", "40", "100"]
    assert shown["s of the processor"].tolist() == ["1.5", "1.0", "2.5"]


@pytest.fixture
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    """A module with a function and a class, and one that has imported the function."""
    first, second = ModuleType("watched_first"), ModuleType("watched_second")

    class Base:
        def work(self) -> str:
            return "base"

    class Child(Base):
        def work(self) -> str:
            return f"child of {super().work()}"

    def double(x: int) -> int:
        return 2 * x

    first.__dict__.update(double=double, Base=Base, Child=Child)
    second.__dict__.update(twice=double)
    sys.modules |= {"watched_first": first, "watched_second": second}
    yield first, second
    del sys.modules["watched_first"], sys.modules["watched_second"]


def test_functions_are_watched_wherever_they_are_imported(
    modules: tuple[ModuleType, ModuleType],
) -> None:
    first, second = modules
    clock = ticking(*range(20))
    main_job.watch(clock, "doubling", "watched_first", "double")
    assert first.double(2) == 4 and second.twice(3) == 6
    assert clock.calls == {"doubling": 2} and clock.seconds["doubling"] == [2.0, 1.0]


def test_methods_are_watched_with_their_overrides(modules: tuple[ModuleType, ModuleType]) -> None:
    first, _ = modules
    clock = ticking(*range(20))
    main_job.watch(clock, "work", "watched_first", "Base.work")
    assert first.Child().work() == "child of base"
    assert clock.calls == {"work": 2} and clock.seconds["work"] == [3.0, 1.5]


def test_an_error_ends_the_part(modules: tuple[ModuleType, ModuleType]) -> None:
    first, _ = modules
    clock = ticking(*range(20))
    main_job.watch(clock, "doubling", "watched_first", "double")
    with pytest.raises(TypeError):
        first.double(None)
    assert first.double(1) == 2 and clock.seconds["doubling"] == [2.0, 1.0]
