"""The hashes of the published files, and the differences from them that a message names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.av_digits.manifest import MANIFEST, check, manifest_of, read_manifest
from mke_theory.tasks.av_digits.reader import IMAGES, LABELS, PAIRS, WRITERS
from mke_theory.tasks.av_digits.split import TEST_SPEAKERS, TRAIN_SPEAKERS, held_out_writers
from tests.tasks.av_digits.made_recordings import write_manifest


def test_check_names_what_differs(copy: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest"
    write_manifest(manifest, manifest_of(copy))
    assert read_manifest(manifest) == manifest_of(copy)
    check(copy, manifest)
    (copy / PAIRS).unlink()
    check(copy, manifest)  # the rule gives the same
    (copy / PAIRS).write_text("other")
    (copy / WRITERS).unlink()
    (copy / "recordings/3_theo_0.wav").unlink()
    (copy / "recordings/4_theo_1.wav").write_bytes(b"other")
    (copy / "recordings/4_eve_1.wav").write_bytes(b"more")
    with pytest.raises(ValueError) as caught:
        check(copy, manifest)
    for text in (
        "pairs.csv (other content)",
        "t10k-writers.csv (missing)",
        "3_theo_*.wav (1 files instead of 2)",
        "4_theo_*.wav (other content)",
        "4_eve_*.wav (not part of it)",
    ):
        assert text in str(caught.value)
    assert "5_theo" not in str(caught.value)


def test_the_committed_manifest_and_split_agree() -> None:
    manifest = read_manifest()
    groups = {name: n for name, (n, _) in manifest.items() if name.startswith("recordings/")}
    speakers = [*TRAIN_SPEAKERS, *TEST_SPEAKERS]
    assert groups == {f"recordings/{d}_{s}_*.wav": 50 for d in range(10) for s in speakers}
    assert set(manifest) - set(groups) == {LABELS, IMAGES, WRITERS, PAIRS}
    split = json.loads((MANIFEST.parent / "av_digits_split.json").read_text())
    assert split["pairs_csv_sha256"] == manifest[PAIRS][1]
    assert split["speakers"] == {"train": list(TRAIN_SPEAKERS), "test": list(TEST_SPEAKERS)}
    train, test = split["writers"]["train"], split["writers"]["test"]
    assert not set(train) & set(test) and len(train) + len(test) == 297
    assert held_out_writers(np.array(train + test)).tolist() == test
