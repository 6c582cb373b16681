"""Films and sounds as arrays; damaged and other files are refused by name."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.signal import resample_poly

from mke_theory.data.optional_imports import library
from mke_theory.tasks.files.advice import advice
from mke_theory.tasks.files.audio import (
    one_channel,
    refuse_level,
    refuse_truncated,
    with_true_sizes,
)
from mke_theory.tasks.files.containers import (
    refuse_cut,
    refuse_early_end,
    refuse_odd_flac,
    refuse_odd_ogg,
)

LATE = 0.1
"""Seconds that one track may begin after the other, or a sound pause, before it counts.

Codecs begin some hundredths of a second late or early, which means nothing.
"""

LONGEST_STILL = 3600.0
"""Seconds that one frame of a film, or a pause in its sound, may last."""

HIGHEST_RATE = 768_000
"""Hz; no recording in use has more."""

_ASKEW = 0.05  # the tangent of the angle that a film may lack to a quarter turn, about 3°


def read_frames(path: Path | str, *, every: float = 0.5, size: tuple[int, int]) -> np.ndarray:
    """Pictures of a film, one for each `every` seconds of it: [f, height, width, 3] uint8 RGB.

    Picture k is what the film shows at (k + ½)·every seconds after it begins, turned and mirrored
    as the film asks for and scaled to `size` = (height, width) with the sides' ratio given up.
    Where the sound begins first, by more than `LATE`, so does the film, and the first frame stands
    until the second. A film shorter than every/2 gives its first frame, so f ≥ 1. Frames are
    decoded one after the other on one thread.

    Raises FileNotFoundError where there is no such file, and ValueError, with the file's name,
    where it is no film, has no video track or no frames, asks to be shown askew, is damaged, or is
    truncated. In mp4, mov, mkv, webm and avi every missing byte is noticed (but not whole parts of
    an mp4 that was written in parts); in other containers, an end that comes more than
    `containers.SLACK` early. Changed bytes are noticed where the decoder stumbles over them,
    which is not always: hashes are for that.
    """
    return frames_and_end(path, every=every, size=size)[0]


def frames_and_end(
    path: Path | str, *, every: float, size: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """The pictures of `read_frames`, and the end of the last frame in seconds of the film.

    Raises as `read_frames` does.
    """
    if not 0 < every < math.inf:
        raise ValueError(f"every must be a finite number of seconds above 0; got {every}")
    scaled = _scaler(path, size)
    pictures: list[np.ndarray] = []
    end = 0.0
    with _track(path, "video") as (film, stream):
        for end, frame in _shown(path, film, stream):
            if not pictures:
                pictures.append(scaled(frame))
            while (len(pictures) - 0.5) * every < end:
                pictures.append(scaled(frame))
    return np.stack(pictures[1:] or pictures), end


def read_sound(path: Path | str, *, rate: int) -> np.ndarray:
    """The sound of a recording or a film, [n] float32 at `rate` Hz, n ≥ 1, of one channel.

    Reads wav, flac and ogg, and the first audio track of a film (mp4, mkv, ...), by content.
    Of several channels it is the mean, or the loudest where they cancel (`audio.one_channel`).
    Another sample rate is converted with a polyphase filter: n = ⌈n₀·rate/rate₀⌉. Full scale is ±1,
    which a compressed or converted sound may exceed a little. The first sample is where the film
    begins, with the first of its pictures or of its sound: what is missing before and between the
    parts of a track, if more than `LATE`, is silence. A flac is read to its end, whatever length
    its head states.

    Raises FileNotFoundError where there is no such file, and ValueError, with the file's name,
    where it has no audio track or no samples, is damaged or truncated (see `read_frames`), changes
    its sample rate on the way, has more than `HIGHEST_RATE` samples a second, is not finite, is in
    other units (peak above `audio.LOUDEST`), or is silent (below `audio.SILENCE`).
    """
    if rate < 1:
        raise ValueError(f"rate must be at least 1 Hz; got {rate}")
    path = _present(path)
    refuse_odd_ogg(path)
    wave, found = _recording(path) if _is_recording(path) else _sound_track(path)
    if not len(wave):
        raise ValueError(f"{path}: has no samples; fetch it again or leave it out")
    if not 1 <= found <= HIGHEST_RATE:  # damaged, and converting it could take hours
        raise ValueError(
            f"{path}: states {found} samples a second; allowed are 1 to {HIGHEST_RATE}; "
            "fetch it again"
        )
    refuse_level(path, wave)
    common = math.gcd(rate, found)
    return resample_poly(wave, rate // common, found // common).astype(np.float32)


def _present(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return path


@contextmanager
def _track(path: Path | str, kind: Literal["video", "audio"]) -> Iterator[tuple[Any, Any]]:
    """The opened film and its first track of this kind; what goes wrong inside is a ValueError."""
    av = library("av", "reading films needs")
    path = _present(path)
    refuse_cut(path)
    try:
        # "file:" keeps a colon in the name from being read as a protocol.
        with av.open(f"file:{path}", metadata_errors="replace") as film:
            if film.format.name.endswith("_pipe") or film.format.name == "image2":
                raise ValueError(f"{path}: is a picture, a film or a sound is wanted")
            tracks = film.streams.video if kind == "video" else film.streams.audio
            if not tracks:
                raise ValueError(f"{path}: has no {kind} track; leave it out")
            if tracks[0].codec_context is None:
                raise ValueError(f"{path}: its {kind} track is of no known kind; convert it")
            tracks[0].codec_context.thread_count = 1
            if tracks[0].codec_context.name == "flac":  # which has a checksum for each frame
                tracks[0].codec_context.options = {"err_detect": "crccheck+bitstream+explode"}
            yield film, tracks[0]
    except av.FFmpegError as error:
        raise ValueError(
            f"{path}: cannot be read as a film or a sound ({error.strerror}); {advice(error)}"
        ) from error


def _shown(path: Path | str, film: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    """Each frame, with the time at which the next one takes its place, in seconds of the film.

    Damage is hidden by the decoder, and drags on in the frames that follow, so one is enough.
    """
    last, origin, start, since = None, 0.0, 0.0, 0.0
    for frame in film.decode(stream):
        if frame.time is None:
            raise ValueError(f"{path}: has a frame without a time; convert it, for instance to mp4")
        if last is None:
            origin = _origin(film, frame.time)
            start = frame.time - origin
        now = frame.time - origin
        if frame.is_corrupt:
            raise ValueError(f"{path}: damaged at {now:.2f} s; fetch it again")
        _refuse_still(path, now - since)
        if last is not None:
            yield now, last
            since = now
        last = frame
    if last is None:
        raise ValueError(f"{path}: has no frames; fetch it again or leave it out")
    _refuse_still(path, _length(last, stream))
    end = last.time - origin + _length(last, stream)
    refuse_early_end(path, film, stream, origin=origin, start=start, end=end)
    yield end, last


def _origin(film: Any, first: float) -> float:
    """The beginning of a film on its own clock; `first` is that of the track that is read.

    That is with the earlier of the tracks for pictures and sound, unless that is hardly earlier.
    """
    cover = library("av.stream", "reading films needs").Disposition.attached_pic
    starts = [
        float(track.start_time * track.time_base)
        for track in (*film.streams.video[:1], *film.streams.audio[:1])
        if track.start_time is not None and not track.disposition & cover
    ]
    begins = min([first, *starts])
    return first if first - begins <= LATE else begins


def _refuse_still(path: Path | str, seconds: float, what: str = "one frame lasts") -> None:
    """Raise ValueError where a frame or a pause lasts so long that it could fill the memory."""
    if seconds > LONGEST_STILL:
        raise ValueError(f"{path}: damaged, {what} {seconds:g} s; fetch it again")


def _length(frame: Any, stream: Any) -> float:
    """The seconds that the last frame is shown; by the frame rate where the file states none."""
    if frame.duration:
        return float(frame.duration * frame.time_base)
    return float(1 / stream.average_rate) if stream.average_rate else 0.0


def _sound_track(path: Path) -> tuple[np.ndarray, int]:
    """One channel of the sound, from when the film begins, and the sample rate."""
    channels = _channels()
    blocks: list[np.ndarray] = []
    rate, count, origin, start = 0, 0, 0.0, 0.0
    with _track(path, "audio") as (film, stream):
        for frame in film.decode(stream):
            now = count / rate if rate else 0.0
            if not rate:
                rate = frame.sample_rate
                origin = _origin(film, frame.time or 0.0)
                start = (frame.time or 0.0) - origin
            if frame.sample_rate != rate:
                raise ValueError(
                    f"{path}: its sample rate changes from {rate} to {frame.sample_rate} Hz after "
                    f"{now:.2f} s; convert it to one"
                )
            pause = 0.0 if frame.time is None else frame.time - origin - now
            if pause > LATE:
                _refuse_still(path, pause, "its sound pauses for")
                silence = np.zeros((1, round(pause * rate)), np.float32)
                blocks.append(silence)
                count += silence.shape[1]
            blocks += (parts := channels(frame))
            count += sum(part.shape[1] for part in parts)
        if count:
            end = count / rate
            refuse_early_end(path, film, stream, origin=origin, start=start, end=end)
    refuse_odd_flac(path, count)
    return _joined(blocks), rate


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    """Blocks [channels, n] one after the other as one channel; their number may change between."""
    runs = [
        one_channel(np.concatenate(list(alike), axis=1), axis=0)
        for _, alike in groupby(blocks, key=len)
    ]
    return np.concatenate([np.zeros(0, np.float32), *runs])


def _is_recording(path: Path) -> bool:
    """True for what libsndfile reads; of flac, also inside ogg, it would not see the true end."""
    with path.open("rb") as file:
        head = file.read(64)
    # FFmpeg takes the numbers of a RIFX, which come with the highest byte first, the wrong way.
    return head[:4] + head[8:12] in (b"RIFFWAVE", b"RIFXWAVE") or (
        head[:4] == b"OggS" and b"\x7fFLAC" not in head
    )


def _recording(path: Path) -> tuple[np.ndarray, int]:
    """One channel of the sound, and the sample rate."""
    soundfile = library("soundfile", "reading sound needs")
    refuse_truncated(path)
    try:
        samples, rate = soundfile.read(with_true_sizes(path), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(f"{path}: not a readable recording ({error}); fetch it again") from error
    return one_channel(samples, axis=1) if len(samples) else samples[:, 0], rate


def _channels() -> Callable[[Any], list[np.ndarray]]:
    """A function from a decoded frame of sound to parts [channels, n] float32."""
    resampler_of = library("av", "reading films needs").AudioResampler
    resamplers: dict[tuple[str, str], Any] = {}

    def channels(frame: Any) -> list[np.ndarray]:
        kind = (frame.layout.name, frame.format.name)  # either may change on the way
        if kind not in resamplers:
            resamplers[kind] = resampler_of(format="fltp")
        frame.pts = None  # the resampler would rather count by itself
        return [part.to_ndarray() for part in resamplers[kind].resample(frame)]

    return channels


def _scaler(path: Path | str, size: tuple[int, int]) -> Any:
    """A function from a decoded frame to [height, width, 3] uint8, upright as it is shown."""
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width), both at least 1; got {size}")
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # one for all frames: each would take megabytes of its own

    def scaled(frame: Any) -> np.ndarray:
        swapped, flipped = _orientation(path, frame)
        height, width = size[::-1] if swapped else size
        small = reformatter.reformat(frame, width=width, height=height, format="rgb24").to_ndarray()
        return np.flip(small.swapaxes(0, 1) if swapped else small, flipped)

    return scaled


def _orientation(path: Path | str, frame: Any) -> tuple[bool, tuple[int, ...]]:
    """(True where a frame is shown with its sides swapped, the axes that are then reversed).

    The film's matrix [[a, b], [c, d]] puts the point (x, y) at (ax + cy, bx + dy), y downwards.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, ()
    a, b, _, c, d = struct.unpack("=9i", bytes(matrix))[:5]
    swapped = abs(b) > abs(a)
    across, down, *rest = (c, b, a, d) if swapped else (a, d, b, c)
    if max(map(abs, rest)) > _ASKEW * min(abs(across), abs(down)) or across * down == 0:
        raise ValueError(
            f"{path}: is shown askew (display matrix {a} {b} {c} {d}); quarter turns and mirror "
            "images are known, so convert it"
        )
    return swapped, tuple(axis for axis, sign in ((0, down), (1, across)) if sign < 0)
