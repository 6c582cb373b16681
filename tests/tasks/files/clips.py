"""Films, recordings and pictures for tests, written with a known content."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

Picture = Callable[[int], np.ndarray]
"""The picture of a frame, [height, width, 3] uint8, by its number."""

DARKEST, STEP = 16, 8


def flat(level: int | tuple[int, int, int], size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A picture [height, width, 3] uint8 of one grey level or colour."""
    return np.full((*size, 3), level, dtype=np.uint8)


def brightening(index: int) -> int:
    """The grey level of frame `index` if no picture is asked for: 16, 24, ... 232, 16, ..."""
    return DARKEST + STEP * (index % 28)


def sine(frequency: float, seconds: float, rate: int) -> np.ndarray:
    """A tone of half the full scale, [n] float32."""
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def write_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    fps: float = 10.0,
    size: tuple[int, int] | None = (48, 64),
    tone: float | None = 440.0,
    picture: Picture | np.ndarray | None = None,
    sound: np.ndarray | None = None,
    rate: int = 16000,
    codec: str = "libx264",
    sound_codec: str = "aac",
    options: dict[str, str] | None = None,
) -> Path:
    """A film at `path`, in the container of its ending (.mp4, .mkv, .m4a, ...); returns `path`.

    `size` is (height, width), both even; None leaves the picture out. `picture` gives each frame by
    its number or is that of all frames; by default frame i is grey of level `brightening(i)`.
    `tone` is in Hz and lasts `seconds`; None leaves the sound out. `sound`, [channels, n] float32
    at `rate`, stands in for the tone. `options` are the container's, as {"movflags": "faststart"}.
    """
    import av

    if sound is None and tone is not None:
        sound = sine(tone, seconds, rate)[None]
    with av.open(str(path), "w", container_options=options or {}) as film:
        # All tracks have to be there before the first is written.
        video = None if size is None else film.add_stream(codec, Fraction(fps).limit_denominator())
        layout = "mono" if sound is None or len(sound) == 1 else "stereo"
        audio = None if sound is None else film.add_stream(sound_codec, rate, layout=layout)
        if size is not None:
            _write_pictures(film, video, size, round(seconds * fps), picture)
        if sound is not None:
            samples = np.ascontiguousarray(sound, dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, 0
            film.mux([*audio.encode(frame), *audio.encode()])
    return path


def _write_pictures(
    film: Any, video: Any, size: tuple[int, int], count: int, picture: Picture | np.ndarray | None
) -> None:
    import av

    video.height, video.width, video.pix_fmt = *size, "yuv420p"
    video.codec_context.thread_count = 1
    for index in range(count):
        content = picture(index) if callable(picture) else picture
        content = flat(brightening(index), size) if content is None else content
        film.mux(video.encode(av.VideoFrame.from_ndarray(content, format="rgb24")))
    film.mux(video.encode())


def write_sound(
    path: Path,
    *,
    seconds: float = 1.0,
    rate: int = 16000,
    tone: float = 440.0,
    sound: np.ndarray | None = None,
    subtype: str | None = None,
) -> Path:
    """A recording at `path` (.wav, .flac or .ogg): a tone, or `sound` [n] or [n, channels]."""
    import soundfile

    samples = sine(tone, seconds, rate) if sound is None else sound
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def write_picture(path: Path, pixels: np.ndarray) -> Path:
    """A picture at `path` (.png, .jpg): [h, w, 3] or [h, w] of uint8, or [h, w] of uint16."""
    from PIL import Image

    Image.fromarray(pixels).save(path)
    return path


def cut(path: Path, share: float) -> Path:
    """The file at `path`, of which only the first `share` of its bytes is left; returns `path`."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    return path
