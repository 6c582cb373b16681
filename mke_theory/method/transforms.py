"""T: the perturbations that keep the student consistent, each with its strength.

A transform acts on the inputs (a dictionary by modality) or on the features that the encoders make
of them. `only` restricts it to some modalities; `Compose` chains several. All randomness comes from
the `Stream` that is handed in, one draw a sample, so the batch size changes nothing else.

A sample without a modality (NaN throughout) stays without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mke_theory.data.lazy_arrays import fitting
from mke_theory.data.pool import Batch, Samples, is_present
from mke_theory.data.rng import Stream
from mke_theory.method.ranges import refuse_beyond, refuse_text

_ROWS_AT_A_TIME = 1024


@dataclass(frozen=True)
class Transform:
    """The identity, and the interface: a subclass changes the inputs, the features, or both."""

    def calibrated(self, samples: Samples) -> Transform:
        """The same transform with its scale measured on `samples`, where it needs one."""
        return self

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        """Perturbed inputs: the same keys and shapes."""
        return dict(inputs)

    def hidden(self, features: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        """Perturbed features [n, width] of the encoders: the same keys and shapes."""
        return dict(features)


@dataclass(frozen=True)
class InputNoise(Transform):
    """x + strength · mean|x| · N(0, 1): the perturbation of the published code.

    mean|x| is one number for each modality, or with `pooled` one for all of them together as in the
    notebook, measured on the training pool by `calibrated` and not on the batch, whose size must
    not matter. Ref: xue2021mke, TwoMoon notebook.
    """

    strength: float = 1.0
    only: tuple[str, ...] | None = None
    pooled: bool = False
    scale: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        refuse_beyond(self, least_0=("strength",))
        refuse_text(self, "only")

    def calibrated(self, samples: Samples) -> InputNoise:
        names = [name for name in samples.modalities if _acts_on(self.only, name)]
        if self.pooled and names:
            together = mean_magnitude(samples, *names)
            return replace(self, scale=tuple((name, together) for name in names))
        return replace(self, scale=tuple((name, mean_magnitude(samples, name)) for name in names))

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        scale = dict(self.scale)

        def noisy(name: str, x: Tensor) -> Tensor:
            if name not in scale:
                raise ValueError(
                    f"InputNoise has no scale for modality {name!r}; call calibrated(samples) first"
                )
            return x + self.strength * scale[name] * stream.normal(x)

        return _where_it_acts(self.only, inputs, noisy)


@dataclass(frozen=True)
class GaussianNoise(Transform):
    """x + sigma · N(0, 1), sigma in units of the input."""

    sigma: float = 1.0
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        refuse_beyond(self, least_0=("sigma",))
        refuse_text(self, "only")

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        def noisy(name: str, x: Tensor) -> Tensor:
            return x + self.sigma * stream.normal(x)

        return _where_it_acts(self.only, inputs, noisy)


@dataclass(frozen=True)
class ModalityDropout(Transform):
    """Each modality of a sample goes missing with `probability`, but never the last one it has.

    A student that can copy its teacher from α gains nothing; without α it has to read β. The model
    must accept missing modalities (`missing="zero"` or `"learned"`).
    """

    probability: float = 0.5
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        refuse_beyond(self, share=("probability",))
        refuse_text(self, "only")

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        names = list(inputs)
        first = inputs[names[0]]
        present = torch.stack([is_present(inputs[name]) for name in names], dim=1)
        may_drop = torch.tensor([_acts_on(self.only, name) for name in names], device=first.device)
        drop = (stream.uniform(first, len(names)) < self.probability) & may_drop & present
        # If nothing would be left, one of the modalities at hand stays, each equally likely.
        bare = ~(present & ~drop).any(dim=1)
        lot = torch.where(present, stream.uniform(first, len(names)), -1.0)
        kept = lot.argmax(dim=1, keepdim=True) == torch.arange(len(names), device=first.device)
        drop &= ~(bare.unsqueeze(1) & kept)
        return {
            name: torch.where(_spread(drop[:, i], inputs[name]), torch.nan, inputs[name])
            for i, name in enumerate(names)
        }


@dataclass(frozen=True)
class FeatureMasking(Transform):
    """Each entry of the input becomes 0 with `probability` (inputs are standardised: 0 = mean)."""

    probability: float = 0.2
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        refuse_beyond(self, share=("probability",))
        refuse_text(self, "only")

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        def masked(name: str, x: Tensor) -> Tensor:
            chosen = stream.uniform(x, *x.shape[1:]) < self.probability
            return torch.where(chosen & ~torch.isnan(x), 0.0, x)

        return _where_it_acts(self.only, inputs, masked)


@dataclass(frozen=True)
class HiddenNoise(Transform):
    """h + strength · mean|h| · N(0, 1) on the encoders' features; mean|h| is each sample's own."""

    strength: float = 1.0
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        refuse_beyond(self, least_0=("strength",))
        refuse_text(self, "only")

    def hidden(self, features: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        def noisy(name: str, h: Tensor) -> Tensor:
            size = h.detach().abs().mean(dim=1, keepdim=True)
            return h + self.strength * size * stream.normal(h)

        return _where_it_acts(self.only, features, noisy)


@dataclass(frozen=True)
class Dropout(Transform):
    """Each feature of the encoders is 0 with `probability`, the others grow by 1/(1 − probability).

    Ref: srivastava2014dropout.
    """

    probability: float = 0.5
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        refuse_beyond(self, share=("probability",))
        refuse_text(self, "only")
        if self.probability == 1.0:
            raise ValueError("probability is 1; dropout has to leave something: use [0, 1)")

    def hidden(self, features: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        def dropped(name: str, h: Tensor) -> Tensor:
            kept = stream.uniform(h, *h.shape[1:]) >= self.probability
            return h * kept / (1.0 - self.probability)

        return _where_it_acts(self.only, features, dropped)


@dataclass(frozen=True)
class ColourJitter(Transform):
    """Standardised pictures [b, 3, h, w] or frames [b, f, 3, h, w] in another light.

    Saturation scales each pixel's distance from its grey (the mean of its colours), contrast that
    of every number from the mean of the sample, each by a factor uniform in 1 ± strength;
    brightness adds a number uniform in ± strength, in units of the input. One draw a sample, for
    all its frames. The order does not matter: the three leave each other's reference alone.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        refuse_beyond(self, share=("brightness", "contrast", "saturation"))
        refuse_text(self, "only")

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        def lit(name: str, x: Tensor) -> Tensor:
            if x.dim() not in (4, 5) or x.shape[-3] != 3:
                raise _misfit(self, name, x, "[b, 3, h, w] or [b, f, 3, h, w]")
            draw = 2.0 * stream.uniform(x, 3) - 1.0
            light, contrast, saturation = (_spread(draw[:, i], x) for i in range(3))
            # Sums, not products: at strength 0 they leave x as it is to the last bit.
            x = x + self.saturation * saturation * (x - x.mean(dim=-3, keepdim=True))
            mean = x.mean(dim=tuple(range(1, x.dim())), keepdim=True)
            return x + self.contrast * contrast * (x - mean) + self.brightness * light

        return _where_it_acts(self.only, inputs, lit)


@dataclass(frozen=True)
class SpectrogramMasking(Transform):
    """A run of bands and a run of frames of each spectrogram [b, ..., bands, frames] is `fill`.

    The length of a run is uniform over the whole numbers from 0 to the given share of its axis
    (rounded), its place uniform. For more runs, list the transform more than once.
    Ref: park2019specaugment, section 2, without its time warping; its F and T are whole numbers.
    """

    bands: float = 0.2
    frames: float = 0.2
    fill: float = 0.0
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        refuse_beyond(self, share=("bands", "frames"), finite=("fill",))
        refuse_text(self, "only")

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        def masked(name: str, x: Tensor) -> Tensor:
            if x.dim() < 3:
                raise _misfit(self, name, x, "[b, ..., bands, frames]")
            draw = stream.uniform(x, 4)
            high = torch.floor(draw[:, 0] * (_part(self.bands, x, -2) + 1.0))
            wide = torch.floor(draw[:, 1] * (_part(self.frames, x, -1) + 1.0))
            bands = _run(x.shape[-2], high, draw[:, 2]).unsqueeze(2)
            frames = _run(x.shape[-1], wide, draw[:, 3]).unsqueeze(1)
            return _filled(x, bands | frames, self.fill)

        return _where_it_acts(self.only, inputs, masked)


@dataclass(frozen=True)
class Cutout(Transform):
    """A rectangle of each picture [b, ..., h, w] is `fill`: that share of its height and width.

    It lies inside the picture, every place alike; its sides are rounded to whole pixels.
    Ref: devries2017cutout, where a square may reach beyond the border.
    """

    share: float = 0.5
    fill: float = 0.0
    only: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        refuse_beyond(self, share=("share",), finite=("fill",))
        refuse_text(self, "only")

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        def cut(name: str, x: Tensor) -> Tensor:
            if x.dim() < 3:
                raise _misfit(self, name, x, "[b, ..., h, w]")
            draw = stream.uniform(x, 2)
            rows = _run(x.shape[-2], _part(self.share, x, -2), draw[:, 0]).unsqueeze(2)
            columns = _run(x.shape[-1], _part(self.share, x, -1), draw[:, 1]).unsqueeze(1)
            return _filled(x, rows & columns, self.fill)

        return _where_it_acts(self.only, inputs, cut)


@dataclass(frozen=True)
class Compose(Transform):
    """Several transforms, one after the other; none at all is the identity."""

    steps: tuple[Transform, ...] = ()

    def calibrated(self, samples: Samples) -> Compose:
        return Compose(tuple(step.calibrated(samples) for step in self.steps))

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        result = dict(inputs)
        for step in self.steps:
            result = step.inputs(result, stream)
        return result

    def hidden(self, features: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        result = dict(features)
        for step in self.steps:
            result = step.hidden(result, stream)
        return result


def acting(steps: tuple[Transform, ...], modalities: tuple[str, ...]) -> tuple[Transform, ...]:
    """The steps that can change a sample of these modalities, each restricted to them.

    ModalityDropout never takes a sample's last modality, so it does nothing to a unimodal model.
    """
    kept: list[Transform] = []
    for step in steps:
        only: tuple[str, ...] | None = getattr(step, "only", None)
        here = modalities if only is None else tuple(m for m in only if m in modalities)
        if not here or (isinstance(step, ModalityDropout) and len(modalities) < 2):
            continue
        kept.append(step if only is None else replace(step, only=here))  # type: ignore[call-arg]
    return tuple(kept)


def mean_magnitude(samples: Samples, *modalities: str) -> float:
    """mean|x| over all numbers of the modalities; ValueError where every sample lacks them."""
    total, count = 0.0, 0
    for batch in _parts(samples):
        for name in modalities:
            x = batch.inputs[name]
            x = x[~torch.isnan(x)]
            total += float(x.abs().sum(dtype=torch.float64))
            count += x.numel()
    if count == 0:
        raise ValueError(f"modality {', '.join(modalities)} is missing in every sample")
    return total / count


def spread(samples: Samples, name: str) -> float:
    """The standard deviation of all numbers of a modality, 0 where every sample lacks it."""
    count, total, squares = 0, 0.0, 0.0
    for batch in _parts(samples):
        x = batch.inputs[name].double()
        x = x[~torch.isnan(x)]
        count += x.numel()
        total += float(x.sum())
        squares += float(x.square().sum())
    return max(0.0, squares / count - (total / count) ** 2) ** 0.5 if count else 0.0


def _parts(samples: Samples) -> Iterator[Batch]:
    """All samples, some at a time."""
    one = samples[slice(0, 1)].inputs.values()
    size = fitting(sum(x.numel() for x in one), _ROWS_AT_A_TIME)
    for start in range(0, len(samples), size):
        yield samples[slice(start, start + size)]


def _where_it_acts(
    only: tuple[str, ...] | None,
    values: Mapping[str, Tensor],
    change: Callable[[str, Tensor], Tensor],
) -> dict[str, Tensor]:
    """The inputs or features, each that is among `only` changed (all of them for None)."""
    return {name: change(name, x) if _acts_on(only, name) else x for name, x in values.items()}


def _acts_on(only: tuple[str, ...] | None, name: str) -> bool:
    return only is None or name in only


def _spread(flags: Tensor, like: Tensor) -> Tensor:
    return flags.reshape(-1, *[1] * (like.dim() - 1))


def _part(share: float, x: Tensor, axis: int) -> Tensor:
    """The share of an axis in whole steps; a tensor, as the share is in vectorised training."""
    return torch.round(share * torch.full((), x.shape[axis], dtype=x.dtype, device=x.device))


def _run(size: int, length: Tensor, place: Tensor) -> Tensor:
    """True [b, size] on `length` neighbours, from one of all possible starts: place in [0, 1)."""
    at = torch.arange(size, dtype=place.dtype, device=place.device)
    start = torch.floor(place * (size - length + 1.0)).unsqueeze(1)
    return (start <= at) & (at < start + length.reshape(-1, 1))


def _filled(x: Tensor, masked: Tensor, fill: float) -> Tensor:
    """`x` [b, ..., h, w], `fill` where `masked` [b, h, w]; what is missing stays missing."""
    masked = masked.reshape(len(x), *[1] * (x.dim() - 3), *x.shape[-2:])
    return torch.where(masked & ~torch.isnan(x), fill, x)


def _misfit(step: Transform, name: str, x: Tensor, wanted: str) -> ValueError:
    shape = f"{type(step).__name__} needs {wanted}, but modality {name!r} is {tuple(x.shape)}"
    return ValueError(f"{shape}; name the modalities that fit: only=(…,)")
