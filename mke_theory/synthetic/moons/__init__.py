"""Two moons, each modality one coordinate: densities, posterior and Bayes error."""

from mke_theory.synthetic.moons.moons import Moons, arc

__all__ = ["Moons", "arc"]
