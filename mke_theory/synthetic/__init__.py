"""Worlds: distributions of multimodal samples whose every error is known exactly."""

from mke_theory.synthetic.decisive import Decisive
from mke_theory.synthetic.discrete import Discrete, exclusive, gate
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.moons import Moons
from mke_theory.synthetic.observed import Bumps, Lifted, Observed
from mke_theory.synthetic.simulated import Simulated, pool_of
from mke_theory.synthetic.world import Draw, Exact, World

__all__ = [
    "Bumps",
    "Decisive",
    "Discrete",
    "Draw",
    "Exact",
    "Gaussian",
    "Lifted",
    "Moons",
    "Observed",
    "Simulated",
    "World",
    "exclusive",
    "gate",
    "pool_of",
]
