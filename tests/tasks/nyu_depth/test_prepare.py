"""Files fetched where they are missing, and every frame verified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.nyu_depth import prepare as commands
from mke_theory.tasks.nyu_depth.matlab import FILES
from tests.tasks.nyu_depth.made_frames import map_class

h5py = pytest.importorskip("h5py", reason="needs the extra mke_theory[data]")
pytest.importorskip("PIL", reason="needs the extra mke_theory[data]")


SHAPE = (6, 3, 64, 48)


def test_prepare_fetches_what_is_missing_and_verifies(mat_files: Path, tmp_path: Path) -> None:
    urls = {
        f"{kind}_url": (mat_files / name).as_uri()
        for kind, name in zip(("frames", "splits", "mapping"), FILES, strict=True)
    }
    folder = commands.prepare(tmp_path / "root", shape=SHAPE, progress=False, **urls)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    (folder / "splits.mat").unlink()
    del urls["frames_url"]  # what is there is not fetched again
    commands.prepare(
        tmp_path / "root", frames_url="file:///none", shape=SHAPE, progress=False, **urls
    )
    for name in FILES:
        assert (folder / name).read_bytes() == (mat_files / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "at", "value", "message"),
    [
        ("depths", (2, 5, 5), 0.0, "depths of frame 3 run from 0"),
        ("depths", (2, 5, 5), np.nan, "depths of frame 3"),
        ("depths", (2, 5, 5), 11.0, r"depths of frame 3 run from .* to 11\.0"),
        ("rawDepths", (1, 0, 0), -1.0, "rawDepths of frame 2 run from -1"),
        ("labels", (5,), 0, "labels of frame 6"),
        ("labels", (0, 3, 3), 895, "labels of frame 1 run from 0 to 895"),
        ("images", (3,), 128, "images of frame 4"),
    ],
)
def test_check_reads_every_frame(
    mat_copy: Path, name: str, at: tuple[int, ...], value: float, message: str
) -> None:
    commands.check_matlab(mat_copy, SHAPE)
    with h5py.File(mat_copy / "nyu_depth_v2_labeled.mat", "r+") as file:
        file[name][at] = value
    with pytest.raises(ValueError, match=message):
        commands.check_matlab(mat_copy, SHAPE)


def test_check_wants_the_whole_data_set(mat_files: Path) -> None:
    with pytest.raises(ValueError, match=r"images are \(6, 3, 64, 48\), not \(1449, 3, 640, 480\)"):
        commands.check_matlab(mat_files)


def test_names_that_contradict_each_other_are_noticed(mat_copy: Path) -> None:
    from scipy.io import savemat

    names = np.array([f"thing {at}" for at in range(1, 895)], dtype=object)
    names[6] = "thing of another kind"
    savemat(mat_copy / "classMapping40.mat", {"mapClass": map_class(), "allClassName": names})
    with pytest.raises(ValueError, match="label 7 is 'thing 7' but 'thing of another kind'"):
        commands.check_matlab(mat_copy, SHAPE)


def test_check_prints_what_it_could_not_verify(
    mat_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands._report_matlab(mat_files)
    printed = capsys.readouterr().out
    assert "not verified" in printed and printed.count(".mat") == 3


def test_check_notices_other_pictures(made: Path) -> None:
    with pytest.raises(ValueError, match="43 frames can be read, but their content"):
        commands.check_pictures(made / "nyudv2")
