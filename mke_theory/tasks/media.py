"""Films, sounds and pictures as arrays; a file that is not what it should be is refused by name."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.signal import resample_poly

from mke_theory.libraries import library
from mke_theory.tasks.audio import SILENCE, UNKNOWN_SIZES, refuse_truncated

SLACK = 0.5
"""By how many seconds a track may end before the length that its file states."""

LONGEST_STILL = 3600.0
"""Seconds that one frame of a film may last."""

HIGHEST_RATE = 768_000
"""Hz; no recording in use has more."""

_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")  # what begins an mp4 or mov
_MATROSKA = b"\x1a\x45\xdf\xa3"  # what begins an mkv or webm
_PICTURES = {"RGB": ("RGB",), "L": ("L",), "I;16": ("I;16", "I;16B", "I;16L", "I")}


def read_frames(path: Path | str, *, every: float = 0.5, size: tuple[int, int]) -> np.ndarray:
    """Pictures of a film, one for each `every` seconds of it: [f, height, width, 3] uint8 RGB.

    Picture k is what the film shows at (k + ½)·every seconds after its first frame, scaled to
    `size` = (height, width) with the sides' ratio given up. A film shorter than every/2 gives its
    first frame, so f ≥ 1. Frames are decoded one after the other on one thread.

    Raises FileNotFoundError where there is no such file, and ValueError, with the file's name,
    where it is no film, has no video track or no frames, is damaged, or is truncated. In mp4,
    mov, mkv, webm and avi every missing byte is noticed (but not whole parts of an mp4 that was
    written in parts); in other containers, an end that comes more than `SLACK` early. Changed bytes
    are noticed where the decoder stumbles over them, which is not always: hashes are for that.
    """
    if not 0 < every < math.inf:
        raise ValueError(f"every must be a finite number of seconds above 0; got {every}")
    scaled = _scaler(size)
    pictures: list[np.ndarray] = []
    with _track(path, "video") as (film, stream):
        for end, frame in _shown(path, film, stream):
            if not pictures:
                pictures.append(scaled(frame))
            while (len(pictures) - 0.5) * every < end:
                pictures.append(scaled(frame))
    return np.stack(pictures[1:] or pictures)


def frame_at(path: Path | str, seconds: float, size: tuple[int, int]) -> np.ndarray:
    """What a film shows `seconds` after its first frame: [height, width, 3] uint8 RGB.

    All frames before it are decoded, so the time this takes grows with `seconds`. Raises as
    `read_frames` does (where the film ends is not looked at), and ValueError where the film has
    ended by then.
    """
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds must be finite and at least 0; got {seconds}")
    scaled = _scaler(size)
    end = 0.0
    with _track(path, "video") as (film, stream):
        for end, frame in _shown(path, film, stream):
            if seconds < end:
                return scaled(frame)
    raise ValueError(f"{path}: ends after {end:g} s; there is no frame at {seconds:g} s")


def read_sound(path: Path | str, *, rate: int, silent: bool = False) -> np.ndarray:
    """The sound of a recording or a film, [n] float32 at `rate` Hz, n ≥ 1; channels are averaged.

    Reads wav, flac and ogg, and the first audio track of a film (mp4, mkv, ...), told apart by
    content. Another sample rate is converted with a polyphase filter: n = ⌈n₀·rate/rate₀⌉. Full
    scale is ±1, which a compressed or converted sound may exceed a little.

    Raises FileNotFoundError where there is no such file, and ValueError, with the file's name,
    where it has no audio track or no samples, is damaged or truncated (see `read_frames`), has more
    than `HIGHEST_RATE` samples a second, is not finite, or is silent (peak below `audio.SILENCE`)
    while `silent` does not allow that.
    """
    if rate < 1:
        raise ValueError(f"rate must be at least 1 Hz; got {rate}")
    path = _present(path)
    wave, found = _recording(path) if _is_recording(path) else _sound_track(path)
    if not len(wave):
        raise ValueError(f"{path}: has no samples; fetch it again or leave it out")
    if not 1 <= found <= HIGHEST_RATE:  # damaged, and converting it could take hours
        raise ValueError(
            f"{path}: says it has {found} samples a second; allowed are 1 to {HIGHEST_RATE}; "
            "fetch it again"
        )
    peak = float(np.abs(wave).max())
    if not math.isfinite(peak):
        raise ValueError(f"{path}: has samples that are NaN or infinite; fetch it again")
    if peak < SILENCE and not silent:
        raise ValueError(
            f"{path}: is silent (peak {peak:.2g}, at least {SILENCE:g} of full scale is wanted); "
            "leave it out"
        )
    common = math.gcd(rate, found)
    return resample_poly(wave, rate // common, found // common).astype(np.float32)


def read_picture(
    path: Path | str, *, size: tuple[int, int] | None, mode: Literal["RGB", "L", "I;16"]
) -> np.ndarray:
    """The pixels of a picture: [h, w, 3] uint8 (RGB), [h, w] uint8 (L) or [h, w] uint16 (I;16).

    Nothing is converted or scaled: a picture of another mode, or of another size than `size` =
    (height, width), is refused; None allows any size.

    Raises FileNotFoundError where there is no such file, and ValueError, with the file's name,
    where it is not a picture, is damaged or truncated, or has another mode or size.
    """
    path = _present(path)
    image_module = library("PIL.Image", "reading pictures needs")
    try:
        # A picture that is too large to be true is an error here, not a warning.
        with warnings.catch_warnings(action="error"), image_module.open(path) as image:
            _refuse_picture(path, image, size, mode)
            pixels = np.array(image)
    except (OSError, SyntaxError, Warning, image_module.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable picture ({error}); fetch it again") from error
    if mode != "I;16":
        return pixels
    if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"{path}: has values outside 0 to 65535; 16 bits are wanted")
    return pixels.astype(np.uint16)


def _present(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return path


def _refuse_picture(path: Path, image: Any, size: tuple[int, int] | None, mode: str) -> None:
    if image.mode not in _PICTURES[mode]:
        raise ValueError(f"{path}: has mode {image.mode}, {mode} is wanted; convert the picture")
    found = (image.height, image.width)
    if size is not None and found != tuple(size):
        raise ValueError(
            f"{path}: is {found[0]} × {found[1]} (height × width), {size[0]} × {size[1]} is "
            "wanted; scale the picture"
        )


@contextmanager
def _track(path: Path | str, kind: Literal["video", "audio"]) -> Iterator[tuple[Any, Any]]:
    """The opened film and its first track of this kind; what goes wrong inside is a ValueError."""
    av = library("av", "reading films needs")
    path = _present(path)
    _refuse_cut(path)
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
            yield film, tracks[0]
    except av.FFmpegError as error:
        raise ValueError(
            f"{path}: damaged, truncated, or not a film or sound ({error.strerror}); fetch it again"
        ) from error


def _shown(path: Path | str, film: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    """Each frame, with the time at which the next one takes its place, in seconds after the first.

    Damage is hidden by the decoder, and drags on in the frames that follow, so one is enough.
    """
    last, origin = None, 0.0
    for frame in film.decode(stream):
        if frame.time is None:
            raise ValueError(f"{path}: has a frame without a time; convert it, for instance to mp4")
        if frame.is_corrupt:
            raise ValueError(f"{path}: damaged at {frame.time - origin:.2f} s; fetch it again")
        if last is None:
            origin = frame.time
        else:
            _refuse_still(path, frame.time - last.time)
            yield frame.time - origin, last
        last = frame
    if last is None:
        raise ValueError(f"{path}: has no frames; fetch it again or leave it out")
    _refuse_still(path, _length(last, stream))
    end = last.time - origin + _length(last, stream)
    _refuse_early_end(path, film, stream, end)
    yield end, last


def _refuse_still(path: Path | str, seconds: float) -> None:
    """Raise ValueError where one frame is shown so long that its copies could fill the memory."""
    if seconds > LONGEST_STILL:
        raise ValueError(f"{path}: damaged, one frame lasts {seconds:g} s; fetch it again")


def _length(frame: Any, stream: Any) -> float:
    """How long the last frame is shown; by the frame rate where the file does not say."""
    if frame.duration:
        return float(frame.duration * frame.time_base)
    return float(1 / stream.average_rate) if stream.average_rate else 0.0


def _sound_track(path: Path) -> tuple[np.ndarray, int]:
    """The mean of the channels, and the sample rate."""
    resampler = library("av", "reading films needs").AudioResampler(format="fltp")
    blocks: list[np.ndarray] = []
    with _track(path, "audio") as (film, stream):
        for frame in film.decode(stream):
            frame.pts = None  # the resampler would rather count by itself
            blocks += [block.to_ndarray().mean(axis=0) for block in resampler.resample(frame)]
        wave = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        rate = resampler.rate or stream.rate
        if len(wave):
            _refuse_early_end(path, film, stream, len(wave) / rate)
    return wave, rate


def _stated(film: Any, stream: Any) -> float | None:
    """How long the file says that this track is, or else the whole; in seconds."""
    if film.format.name == "aac":  # a stream of frames that states nothing; FFmpeg guesses
        return None
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if "DURATION" in stream.metadata:  # Matroska, as hours:minutes:seconds
        with suppress(ValueError):  # a damaged tag, or not three numbers
            hours, minutes, seconds = map(float, stream.metadata["DURATION"].split(":"))
            return 3600 * hours + 60 * minutes + seconds
    return film.duration / library("av", "reading films needs").time_base if film.duration else None


def _refuse_early_end(path: Path | str, film: Any, stream: Any, end: float) -> None:
    stated = _stated(film, stream)
    if stated is not None and end < stated - SLACK:
        raise ValueError(
            f"{path}: truncated, its {stream.type} ends after {end:.2f} s of {stated:.2f} s; fetch "
            "it again"
        )


def _refuse_cut(path: Path) -> None:
    """Raise ValueError where an mp4, mov, mkv, webm or avi ends before one of its parts does."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length_of = _walk(file.read(8))
        at = 0 if length_of else size
        while length_of and at < size:
            file.seek(at)
            at += length_of(file.read(20).ljust(20, b"\0"), size - at)
    if at > size:
        raise ValueError(f"{path}: truncated, {at - size} bytes are missing; fetch it again")


def _walk(head: bytes) -> Callable[[bytes, int], int] | None:
    """How to tell the length of a part from its first bytes, and from how many are left."""
    if head[4:] in _BOXES:
        return _box_length
    if head[:4] == b"RIFF":
        return _chunk_length
    return _element_length if head[:4] == _MATROSKA else None


def _box_length(head: bytes, left: int) -> int:
    length, _, long = struct.unpack(">I4sQ", head[:16])
    return left if length == 0 else max(8, long if length == 1 else length)


def _chunk_length(head: bytes, left: int) -> int:
    (length,) = struct.unpack("<I", head[4:8])
    return left if length in UNKNOWN_SIZES else 8 + length


def _element_length(head: bytes, left: int) -> int:
    """Of name and size, the leading zeros of the first byte tell how many bytes follow it."""
    name = 9 - head[0].bit_length()
    width = 9 - head[name].bit_length()
    largest = (1 << 7 * width) - 1
    length = int.from_bytes(head[name : name + width]) & largest
    return left if length == largest else name + width + length


def _is_recording(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] in (b"fLaC", b"OggS") or head[:4] + head[8:] == b"RIFFWAVE"


def _refuse_cut_ogg(path: Path) -> None:
    """Raise ValueError where an ogg does not end with a whole page that says it is the last."""
    content = path.read_bytes()
    if not content.startswith(b"OggS"):
        return
    page = content[content.rfind(b"OggS") :]
    last = len(page) >= 27 and page[5] & 4
    if not last or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        raise ValueError(f"{path}: truncated, its last page is missing; fetch it again")


def _recording(path: Path) -> tuple[np.ndarray, int]:
    """The mean of the channels, and the sample rate."""
    soundfile = library("soundfile", "reading sound needs")
    refuse_truncated(path)
    _refuse_cut_ogg(path)
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(f"{path}: not a readable recording ({error}); fetch it again") from error
    return samples.mean(axis=1), rate


def _scaler(size: tuple[int, int]) -> Any:
    """A function from a decoded frame to [height, width, 3] uint8, upright as it is shown."""
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (height, width), both at least 1; got {size}")
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()  # one for all frames: each would take megabytes of its own

    def scaled(frame: Any) -> np.ndarray:
        turns = round(frame.rotation / 90) % 4
        height, width = size if turns % 2 == 0 else size[::-1]
        small = reformatter.reformat(frame, width=width, height=height, format="rgb24")
        return np.rot90(small.to_ndarray(), turns)

    return scaled
