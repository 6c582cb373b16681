"""Any trained encoder as one row of features a clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mke_theory.models.frozen import FrozenEncoder
from mke_theory.models.packaged_weights import (
    EFFICIENTNET_LITE2,
    SPEECH_EMBEDDING,
    lacking_package,
)
from mke_theory.tasks.vggsound.clips import read_clip
from mke_theory.tasks.vggsound.encoders import clip_encoders, pooled
from tests.tasks.files.clips import write_clip
from tests.tasks.vggsound.made_clips import EYE


def test_taps_are_pooled_over_time_and_places_and_stand_side_by_side() -> None:
    row = torch.tensor([[1.0, 2.0]])
    over_time = torch.tensor([[[3.0, 5.0], [5.0, 9.0]]])  # two times of two features
    over_places = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])  # one feature in four places
    taps = {"row": row, "time": over_time, "place": over_places}
    encoder = FrozenEncoder("x", "0" * 16, tuple(taps), lambda _: taps, "anything")
    found = pooled(encoder)(torch.zeros(1, 4))["pooled"]
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 4.0, 7.0, 3.0]]))
    odd = replace(encoder, taps=("row",), compute=lambda _: {"row": row[None, None, None]})
    with pytest.raises(ValueError, match=r"row is .*cannot be pooled"):
        pooled(odd)(torch.zeros(1, 4))


def test_a_film_is_the_mean_of_its_pictures() -> None:
    films = torch.randint(0, 256, (3, 2, 3, 16, 16), dtype=torch.uint8)
    found = pooled(EYE, films=True)(films)["pooled"]
    each = [pooled(EYE)(films[:, index])["pooled"] for index in (0, 1)]
    torch.testing.assert_close(found, (each[0] + each[1]) / 2)
    assert pooled(EYE).content != pooled(EYE, films=True).content != EYE.content


@pytest.mark.skipif(
    bool(lacking_package(SPEECH_EMBEDDING) or lacking_package(EFFICIENTNET_LITE2)),
    reason="the packages of weights are not installed",
)
def test_the_encoders_of_packages_read_a_clip(tmp_path: Path) -> None:
    encoders = clip_encoders()
    path = write_clip(tmp_path / "a.mp4", seconds=10, fps=2, size=(32, 32), tone=500.0, rate=8000)
    raw = read_clip(path, films=True)
    heard = pooled(encoders["audio"])(torch.from_numpy(raw["audio"][None]))["pooled"]
    seen = pooled(encoders["video"], films=True)(torch.from_numpy(raw["video"][None]))["pooled"]
    assert heard.shape == (1, 2 * 96) and seen.shape == (1, 48 + 88 + 120 + 208 + 352)
    assert bool((heard.std() > 0) & (seen.std() > 0))
