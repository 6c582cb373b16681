"""Labels looked up in a fixed order: from what is known, a callable, or a file that somebody fills.

Nothing is asked twice: an answer goes at once into the dictionary that the caller gave, and from
there it is read the next time. An answer that turns out to be wrong is corrected there, or in the
file, and the audit repeated: it is a function of the labels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mke_theory.audit.labels import Answer, Classes, Labels
from mke_theory.audit.pair import checked
from mke_theory.audit.sheet import Sheet, tag_of

Ask = Callable[[int], Any]
"""From the position of a sample in the pool to its true class, or None where one cannot tell."""


@dataclass(frozen=True, eq=False)
class Asking:
    """The labels of a pool in the order in which an audit wants them.

    known: answers by position, to which those of a callable are added. tag: what ties a file to
    this audit. last: the place in the order of the last row that is filled in.
    """

    ask: Ask | Sheet
    order: Sequence[int]
    predictions: Labels
    classes: Classes
    known: MutableMapping[int, Any] = field(default_factory=dict)
    tag: str = ""
    last: int = -1

    @classmethod
    def of(
        cls,
        ask: Ask | Sheet,
        order: Sequence[int],
        predictions: Sequence[Labels],
        classes: Classes,
        answers: MutableMapping[int, Any] | None,
        purpose: str,
    ) -> Asking:
        """With everything that is known already; raises what `Sheet.read` and `checked` raise."""
        known: MutableMapping[int, Any] = {} if answers is None else answers
        tag, last = "", -1
        if isinstance(ask, Sheet):
            if predictions[0].ndim != 1:
                raise ValueError(
                    "a map of labels does not fit into a table; of pixels, give a callable as `ask`"
                )
            ask.refuse_other_samples(len(predictions[0]))
            tag = tag_of(purpose, order, predictions, classes.count)
            filled = ask.read(order, classes, tag)
            last = max((i for i, sample in enumerate(order) if sample in filled), default=-1)
            known = _joined(ask, known, filled, classes)
        elif not callable(ask):
            raise TypeError(f"ask is {ask!r}; give a function of a position, or a Sheet")
        for sample in known:
            if sample not in range(len(predictions[0])):
                raise ValueError(
                    f"answers has a label for sample {sample!r}; the pool has samples 0 to "
                    f"{len(predictions[0]) - 1}"
                )
        return cls(ask, order, predictions[0], classes, known, tag, last)

    def labels(
        self, goes_on: Callable[[int], bool], needed: Callable[[int], bool] = lambda sample: True
    ) -> Iterator[tuple[int, Answer]]:
        """Position and answer, one after the other.

        Labels that are known are given in any case; `goes_on`, of the number of labels so far, is
        asked before one more is looked up. Samples that are not `needed` when their turn comes
        are left out. In a file, rows left empty before the last one filled are counted as "cannot
        tell" as long as they are empty: nobody gains by skipping what is hard.
        """
        given = 0
        for i, sample in enumerate(self.order):
            if not needed(sample):
                continue
            if sample not in self.known:
                if isinstance(self.ask, Sheet):
                    if i > self.last:
                        return
                    yield sample, None
                    given += 1
                    continue
                if not goes_on(given):
                    return
                self.known[sample] = self._checked(sample, self.ask(sample))
            given += 1
            yield sample, self._checked(sample, self.known[sample])

    def _checked(self, sample: int, value: Any) -> Answer:
        return checked(self.predictions, self.classes, sample, value, f"the label of {sample}")

    def write(self, needed: Sequence[int]) -> int:
        """Put the next samples into the file, if there is one: how many rows wait for a label.

        needed: samples to ask, of which those already known are left out.
        """
        if not isinstance(self.ask, Sheet):
            return 0
        unknown = [sample for sample in needed if sample not in self.known]
        return self.ask.extend(self.order, unknown, self.tag)


def _joined(
    sheet: Sheet, known: Mapping[int, Any], filled: Mapping[int, int | None], classes: Classes
) -> dict[int, Any]:
    """The answers of both, in a dictionary of its own: the file is where they are corrected."""
    for sample in known.keys() & filled.keys():
        value = classes.answer(known[sample], f"the label of {sample}")
        if value != filled[sample]:
            raise ValueError(
                f"sample {sheet.name_of(sample)!r} has class {filled[sample]} in {sheet.path} and "
                f"{value} in `answers`; correct one of them"
            )
    return {**known, **filled}
