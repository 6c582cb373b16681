"""Mismatched pairs: some samples of D_u show the β of another sample.

A share s of mismatched pairs makes the law of a sample the mixture

    P' = (1 − s) P(α, β, y) + s P(α, y) P(β),

whose Bayes error lies between (1 − s) R*(α, β) + s R*(α) and R*(α), with R*(m) that of the
modalities m. The lower end would take a classifier that sees which pairs are mismatched.
"""

from __future__ import annotations

import numpy as np

from mke_theory.synthetic.checks import refuse_strange
from mke_theory.synthetic.world import Draw


def mismatch(draw: Draw, share: float, teacher_modalities: tuple[str, ...], seed: int) -> Draw:
    """The draw with round(share · n) pairs whose β comes from another of these samples.

    The chosen samples stand in a ring, in random order, and each takes the β of the next: all
    modalities but the teacher's together, and none its own. Labels stay with α.

    Raises ValueError where share is outside [0, 1] or exactly one sample would be chosen.
    """
    refuse_no_share(share)
    refuse_strange(teacher_modalities, tuple(draw.inputs))
    count = round(share * len(draw))
    if count == 0:
        return draw
    if count == 1:
        raise ValueError(
            f"mismatched is {share}, one pair of {len(draw)}: it takes two to swap; raise the "
            "share or draw more"
        )
    ring = np.random.default_rng(seed).choice(len(draw), count, replace=False)
    source = np.arange(len(draw))
    source[ring] = np.roll(ring, 1)
    inputs = {
        name: x if name in teacher_modalities else x[source] for name, x in draw.inputs.items()
    }
    return Draw(inputs, draw.labels)


def refuse_no_share(share: float) -> None:
    """Raise ValueError where the share of mismatched pairs is outside [0, 1]."""
    if not 0 <= share <= 1:
        raise ValueError(f"mismatched is {share}; it has to lie in [0, 1]")
