"""The two public archives in small: trackings as OpenFace writes them, and tones."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mke_theory.tasks.ravdess.archives import Archive
from mke_theory.tasks.ravdess.names import Recording, parse_recording
from mke_theory.tasks.ravdess.split import Part
from mke_theory.tasks.ravdess.tracking import UNITS
from tests.tasks.files.clips import sine

TEXTS = ("01-03-01-01-01-01", "01-05-02-01-01-01", "01-03-01-01-01-02", "01-03-01-01-01-19")
SPLIT: dict[Recording, Part] = {
    parse_recording(text): "test" if text.endswith("19") else "train" for text in TEXTS
}
FIRST, SECOND, THIRD, LAST = SPLIT

HEAD = ("frame", "face_id", "timestamp", "confidence", "success")
GAZE = tuple(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz")
EYES = tuple(f"eye_lmk_{axis}_{at}" for axis in "xyXYZ" for at in range(56))
POSE = tuple(f"pose_{kind}{axis}" for kind in "TR" for axis in "xyz")
LANDMARKS = tuple(f"{axis}_{at}" for axis in "xyXYZ" for at in range(68))
RIGID = ("p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty")
COLUMNS = (
    *(*HEAD, *GAZE, "gaze_angle_x", "gaze_angle_y", *EYES, *POSE, *LANDMARKS, *RIGID),
    *(*(f"p_{at}" for at in range(34)), *UNITS),
)
"""All 714 columns of OpenFace 2.1.0's FeatureExtraction, in its order."""


def frame(number: int = 1, **cells: float) -> dict[str, float]:
    """One good row: zeros, the outer corners of the eyes 2 mm apart, other `cells` as given."""
    row: dict[str, float] = dict.fromkeys(COLUMNS, 0.0)
    row |= {"frame": number, "timestamp": number / 30, "confidence": 0.98, "success": 1, "X_45": 2}
    return row | cells


def csv_of(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str] = COLUMNS, space: str = ", "
) -> str:
    """A CSV of rows, whose names are parted by `space` and whose cells by it as well."""
    lines = [space.join(columns), *(space.join(str(row[name]) for name in columns) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def frames_of(recording: Recording) -> list[dict[str, float]]:
    """Three frames of a recording; AU01_r is its emotion / 8 in the mean, AU01_c two thirds."""
    level = recording.emotion / 8
    return [
        frame(1, AU01_r=level - 0.1, AU01_c=1, pose_Rx=0.1),
        frame(2, AU01_r=level, AU01_c=0, pose_Rx=0.2),
        frame(3, AU01_r=level + 0.1, AU01_c=1, pose_Rx=0.3),
    ]


def wav(recording: Recording, rate: int = 48000) -> bytes:
    """A second of silence, 0.6 s of a tone of its emotion, and a second of silence."""
    import soundfile

    silence = np.zeros(rate, np.float32)
    sound = np.concatenate([silence, sine(200.0 * recording.emotion, 0.6, rate), silence])
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def sounds() -> dict[str, bytes]:
    """The members of the archive of sounds: every recording, and a song."""
    found = {f"Actor_{one.actor:02}/03-{one}.wav": wav(one) for one in SPLIT}
    return found | {"Actor_01/03-02-03-01-01-01-01.wav": b"a song"}


def faces() -> dict[str, bytes]:
    """The members of the archive of trackings: every recording, and two songs."""
    found = {f"01-{one}.csv": csv_of(frames_of(one)).encode() for one in SPLIT}
    return found | {f"01-02-03-01-01-01-{actor}.csv": b"" for actor in ("01", "02")}


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def archives(source: Path) -> tuple[Archive, Archive]:
    """The two archives, to be fetched from the folder `source`; their hashes are not known."""
    return (
        Archive("sound.zip", "0", "wav", address=(source / "sound.zip").as_uri()),
        Archive("face.zip", "0", "csv", address=(source / "face.zip").as_uri()),
    )


def write_archives(folder: Path, **other: Mapping[str, bytes]) -> tuple[Archive, Archive]:
    """Both, with other members where `sound` or `face` are given."""
    write_zip(folder / "sound.zip", other.get("sound", sounds()))
    write_zip(folder / "face.zip", other.get("face", faces()))
    return archives(folder)
