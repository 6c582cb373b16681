"""Trained networks that stay as they are: samples in, named features out.

Whatever a network came as, it is used as a `FrozenEncoder`: any module (`from_module`, below), an
archive of torch.export (`exported_encoder`), an ONNX file (`onnx_encoder`), weights of
`transformers` (`frozen_backbones`), weights inside installed packages (`packaged_weights`).
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

OUTPUT = "output"
"""The place of what the network itself returns, among the names of its submodules."""

_PLACE = re.compile(r"(?P<module>[^\[\]]+)(?:\[(?P<part>[^\[\]]+)\])?")
_LISTED = 40  # the most names that one message lists


@dataclass(frozen=True, eq=False)
class FrozenEncoder:
    """A trained network whose weights stay as they are: raw samples in, named features out.

    name: what it is called in manifests and messages. content: 16 hexadecimal digits of the weights
    and of all that is done to a sample before them; encoders of one content give one set of
    features, up to rounding. taps: names of the outputs, identifiers. compute: raw batch [b, ...]
    → {tap: [b, ...]}, each sample by itself, whatever else is in the batch. raw: the batch it
    takes, in words, such as "uint8 [b, 3, h, w], RGB".

    Raises ValueError where name or taps are empty, repeated, or no identifiers.
    """

    name: str
    content: str
    taps: tuple[str, ...]
    compute: Callable[[Tensor], dict[str, Tensor]]
    raw: str

    def __post_init__(self) -> None:
        if not self.name or not re.fullmatch(r"[0-9a-f]{16}", self.content):
            raise ValueError(
                f"an encoder needs a name and 16 hexadecimal digits of content; got {self.name!r} "
                f"and {self.content!r}"
            )
        odd = [tap for tap in self.taps if not tap.isidentifier()]
        if not self.taps or odd or len(set(self.taps)) < len(self.taps):
            raise ValueError(
                f"{self.name}: taps have to be different names of letters, digits and _; got "
                f"{self.taps}"
            )

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        """The features of a batch by tap: [b, ...] float32, on its device, without gradient.

        Raises TypeError where the batch is no tensor, ValueError where it is empty or not finite,
        or where an output does not have one finite row a sample.
        """
        self._refuse_batch(batch)
        with torch.no_grad():  # not inference_mode: whoever trains a head needs ordinary tensors
            found = self._computed(batch)
        if set(found) != set(self.taps):
            raise ValueError(f"{self.name}: computes {sorted(found)} instead of {self.taps}")
        return {tap: self._features(tap, found[tap], batch) for tap in self.taps}

    def _computed(self, batch: Tensor) -> dict[str, Tensor]:
        try:
            return self.compute(batch)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError) as error:  # torch's, of a type or size that is wrong
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"{self.name} takes {self.raw} and cannot compute on {batch.dtype} "
                f"{list(batch.shape)} ({why})"
            ) from error

    def _refuse_batch(self, batch: Tensor) -> None:
        if not isinstance(batch, Tensor):
            raise TypeError(f"{self.name} takes a tensor, {self.raw}; got {type(batch).__name__}")
        if batch.dim() < 2 or batch.numel() == 0:
            raise ValueError(f"{self.name} takes {self.raw}; got shape {tuple(batch.shape)}")
        if batch.is_floating_point() and not bool(batch.isfinite().all()):
            raise ValueError(f"{self.name}: the batch has values that are NaN or infinite")

    def _features(self, tap: str, found: Tensor, batch: Tensor) -> Tensor:
        if not isinstance(found, Tensor):
            raise ValueError(
                f"{self.name}: {tap} is a {type(found).__name__} and no tensor; name one of its "
                "parts, such as output[0]"
            )
        if found.dim() < 1 or len(found) != len(batch):
            raise ValueError(
                f"{self.name}: {tap} has shape {tuple(found.shape)} for {len(batch)} samples; a "
                "tap needs one row a sample"
            )
        features = found.detach().to(batch.device, torch.float32)
        if not bool(features.isfinite().all()):
            raise ValueError(
                f"{self.name}: {tap} has values that are NaN or infinite; does the input have the "
                f"scale that the encoder takes ({self.raw})?"
            )
        return features


def from_module(
    net: nn.Module,
    taps: Sequence[str] | Mapping[str, str],
    *,
    name: str,
    raw: str,
    prepare: Callable[[Tensor], Tensor] | None = None,
    prepared: str = "",
) -> FrozenEncoder:
    """A copy of any network, in evaluation mode, that gives the outputs of some of its submodules.

    taps: places, or {tap: place}. A place is the name of a submodule as in `named_modules`, or
    "output" for what `net` returns; where that is a tuple or a dictionary, "head[0]" or
    "output[logits]" is a part of it. Without a name of its own, the tap of "layer.2" is layer_2.
    prepare: raw batch → what `net` takes; it is part of the content through its repr, or in the
    words of `prepared` where it has none that stays the same. The content knows weights, layers and
    numbers among attributes, not the code of `forward`: after a change there, take another name.

    `net` must not look at other samples of a batch; in evaluation mode few do. Raises ValueError
    where a place is not there, with those that are, where `prepare` is not described, or where a
    batch normalisation has no running statistics and takes those of the batch.
    """
    places = places_of(taps)
    submodules = dict(net.named_modules())
    _refuse_unknown(name, places.values(), submodules)
    _refuse_statistics_of_batches(name, submodules)
    content = content_of_weights(
        {**dict(net.named_parameters()), **dict(net.named_buffers())},
        *(type(net).__qualname__, repr(net), described(prepare, prepared)),
        *_attributes(submodules),
        *renamed(places),
    )
    frozen = copy.deepcopy(net).eval().requires_grad_(False)
    compute = computed_by(frozen, places, prepare)
    return FrozenEncoder(name, content, tuple(places), compute, raw)


def computed_by(
    net: nn.Module,
    places: Mapping[str, str],
    prepare: Callable[[Tensor], Tensor] | None = None,
) -> Callable[[Tensor], dict[str, Tensor]]:
    """The function batch → {tap: output at its place}, of a network in evaluation mode."""
    first = next(net.parameters(), None)

    def compute(batch: Tensor) -> dict[str, Tensor]:
        x = batch if first is None else batch.to(first.device)
        x = x if prepare is None else prepare(x)
        caught = _caught(net, x, {_module(place) for place in places.values()})
        return {tap: _part(caught[_module(place)], place) for tap, place in places.items()}

    return compute


def content_of_weights(tensors: Mapping[str, Tensor], *words: str) -> str:
    """16 hexadecimal digits of tensors by name, in any order, and of the words that go with them.

    They change with a name, shape, type or value, and not with the device.
    """
    digest = hashlib.sha256("\0".join(words).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def content_of_words(*words: str) -> str:
    """16 hexadecimal digits of hashes and settings, in order."""
    return content_of_weights({}, *words)


def described(prepare: Callable[[Tensor], Tensor] | None, prepared: str = "") -> str:
    """The words for a preparation: those given, or its repr; ValueError where that would change."""
    if prepare is None or prepared:
        return prepared
    words = repr(prepare)
    if isinstance(prepare, nn.Module) and (state := prepare.state_dict()):
        words = f"{words} {content_of_weights(state)}"
    if " at 0x" in words:
        raise ValueError(
            f"prepare is {words}; say in words what it does, by prepared=..., as features made in "
            "another way must not be mixed with these (or make it a frozen dataclass)"
        )
    return words


def places_of(taps: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """{tap: place}; a place without a tap of its own is one with _ for all that is no letter."""
    if isinstance(taps, str):
        raise TypeError(f"taps is the text {taps!r}; give a list of places, such as [{taps!r}]")
    if isinstance(taps, Mapping):
        return dict(taps)
    named = {_tap(place): place for place in taps}
    if len(named) < len(taps):
        raise ValueError(f"taps {list(taps)} are repeated or alike; name them by {{tap: place}}")
    return named


def renamed(places: Mapping[str, str]) -> list[str]:
    """A word for each tap that is not called after its place, for the content.

    Two networks with a tap of one name at two places give other features.
    """
    return sorted(f"{tap}={place}" for tap, place in places.items() if tap != _tap(place))


def missing_places(name: str, missing: Iterable[str], known: Iterable[str]) -> ValueError:
    """The error for places that a network does not have, with those that it has."""
    there = list(known)
    more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    listed = ", ".join(there[:_LISTED])
    return ValueError(f"{name} has no {', '.join(map(repr, missing))}; there are {listed}{more}")


def in_pieces(
    compute: Callable[[Tensor], dict[str, Tensor]], size: int
) -> Callable[[Tensor], dict[str, Tensor]]:
    """The same function, where `compute` takes batches of exactly `size`; the last is filled up."""

    def whole(batch: Tensor) -> dict[str, Tensor]:
        pieces = []
        for piece in batch.split(size):
            filling = piece[-1:].expand(size - len(piece), *piece.shape[1:])
            found = compute(torch.cat([piece, filling]))
            pieces.append({tap: each[: len(piece)] for tap, each in found.items()})
        return {tap: torch.cat([piece[tap] for piece in pieces]) for tap in pieces[0]}

    return whole


def _tap(place: str) -> str:
    """The name of a place's tap where it was given none."""
    tap = re.sub(r"\W+", "_", place).strip("_")
    return f"_{tap}" if tap[:1].isdigit() else tap


def _attributes(submodules: Mapping[str, nn.Module]) -> list[str]:
    """A word for each number in a module that is not torch's own, whose repr tells its."""
    return [
        f"{name}.{key}={value!r}"
        for name, module in submodules.items()
        if not type(module).__module__.startswith("torch.")
        for key, value in sorted(vars(module).items())
        if isinstance(value, int | float) and not key.startswith("_") and key != "training"
    ]


def _refuse_statistics_of_batches(name: str, submodules: Mapping[str, nn.Module]) -> None:
    for called, module in submodules.items():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ValueError(
                f"{name}: {called or 'it'} is a batch normalisation without running statistics, so "
                "that a sample's features depend on the others of its batch; hand over the part of "
                "the network before it"
            )


def _refuse_unknown(name: str, places: Iterable[str], submodules: Mapping[str, object]) -> None:
    odd = [place for place in places if not _PLACE.fullmatch(place)]
    if odd:
        raise ValueError(f"{name}: {odd[0]!r} is no place; write it as layer, layer[0] or output")
    known = {OUTPUT, *submodules} - {""}
    missing = [place for place in places if _module(place) not in known]
    if missing:
        raise missing_places(name, missing, sorted(known))


def _module(place: str) -> str:
    return place.partition("[")[0]


def _part(found: Any, place: str) -> Any:
    """The part of an output that a place names."""
    match = _PLACE.fullmatch(place)
    if match is None or match["part"] is None:
        return found
    part = match["part"]
    if not isinstance(found, Mapping | list | tuple):  # [0] of a tensor would be its first sample
        raise ValueError(
            f"{place} is not there; the output is a {type(found).__name__} without parts: name "
            f"{_module(place)}"
        )
    whole: Any = found  # a list refuses a name by a TypeError
    try:
        return whole[int(part) if part.isdigit() else part]
    except (KeyError, IndexError, TypeError) as error:
        parts = list(found) if isinstance(found, Mapping) else list(range(len(found)))
        raise ValueError(
            f"{place} is not there; the output is a {type(found).__name__} of {parts}"
        ) from error


def _caught(net: nn.Module, x: Tensor, modules: Iterable[str]) -> dict[str, Any]:
    """Outputs of submodules in one pass."""
    caught: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Any) -> None:
            if name in caught:
                raise ValueError(f"{name} runs more than once in a pass; name what it is part of")
            caught[name] = _copied(output)

        return hook

    inner = dict(net.named_modules())
    watched = [name for name in modules if name in inner]
    handles = [inner[name].register_forward_hook(keep(name)) for name in watched]
    try:
        output = net(x)
    finally:
        for handle in handles:
            handle.remove()
    idle = [name for name in watched if name not in caught]
    if idle:
        raise ValueError(
            f"{', '.join(idle)} did not run; name submodules that the pass goes through"
        )
    return {OUTPUT: output, **caught}


def _copied(output: Any) -> Any:
    """A copy, as a ReLU that works in place would change what was caught."""
    if isinstance(output, Tensor):
        return output.detach().clone()
    if isinstance(output, Mapping):
        return {name: _copied(part) for name, part in output.items()}
    if isinstance(output, list | tuple):
        return [_copied(part) for part in output]
    return output
