"""Multimodal Knowledge Expansion: fixed labels of a teacher that sees less, and a clean other view.

    mean l_cls(ỹ, f(T(x))) + γ mean ‖f(x) − f(T(x))‖²        on D_u

It is set apart by its labels and by its modalities: the teacher sees α, the student α and β. The
method itself is in `mke_theory.method.algorithm`. Ref: xue2021mke, Algorithm 1.
"""

from __future__ import annotations

from mke_theory.method.objective import Consistency, Objective
from mke_theory.method.relatives.method import STRONG, Method, Steps


def method(transform: Steps = STRONG, *, gamma: float = 1.0) -> Method:
    """MKE with hard pseudo labels: the row that the others are compared with."""
    objective = Objective(transform=transform, consistency=Consistency(gamma=gamma))
    return Method("mke", "MKE", objective, "pseudo labels", "xue2021mke")
