"""The task on a small corpus: its parts, scales, settings, bounds and runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mke_theory.data.pool import Pool
from mke_theory.models import count_parameters
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.recording import record_of
from mke_theory.study.result import Result, Run
from mke_theory.study.runner import run
from mke_theory.tasks.vggsound import VGGSound
from mke_theory.tasks.vggsound.lists import FOLDER, FULL, TEST
from mke_theory.tasks.vggsound.store import INDEX, PREPARED
from mke_theory.training.predict import predict
from tests.tasks.files.clips import write_clip
from tests.tasks.vggsound.made_clips import PARTS, PER_CLASS, TASK, TONES, A, Corpus, again


def short(task: VGGSound, steps: int = 200) -> VGGSound:
    """The task with a training of some seconds."""
    of = task.recipe
    training = replace(of.teacher, steps=steps, batch_size=18, learning_rate=3e-3)
    return replace(task, recipe=replace(of, teacher=training, student=training))


def clips_of(pool: Pool) -> list[str]:
    assert pool.groups is not None
    return sorted(pool.groups.tolist())


def test_missing_clips_are_counted_and_bound_the_metrics(corpus: Corpus) -> None:
    test, labelled = sorted(corpus.clips["test"]), sorted(corpus.clips["labelled"])
    for clip in test[:4]:
        corpus.file("vggsound", clip).unlink()
    corpus.file("audioset", labelled[0]).unlink()
    again(corpus)
    index = json.loads((corpus.root / PREPARED / INDEX).read_text())
    assert index["vggsound"]["missing"] == [str(clip) for clip in test[:4]]
    assert index["audioset"]["missing"] == [str(labelled[0])]
    problem = TASK.at(corpus.root).problem(0)
    assert [len(getattr(problem, part)) for part in PARTS] == [17, 24, 14]
    assert TASK.at(corpus.root).absent().clips == tuple(test[:4])
    predictions = torch.rand(problem.test.labels.shape, generator=torch.Generator().manual_seed(0))
    scores = TASK.scores(predictions, problem.test.labels)
    bounds = TASK.at(corpus.root).bounds(predictions, problem.test.labels)
    assert list(bounds) == list(scores) == ["mAP", "mAUC", "d′"]
    for name, (low, high) in bounds.items():
        assert low < scores[name] < high


def test_with_all_clips_there_the_bounds_are_the_scores(made: Corpus) -> None:
    truth = TASK.at(made.root).problem(0).test.labels
    predictions = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0))
    for name, bounds in TASK.at(made.root).bounds(predictions, truth).items():
        assert bounds == pytest.approx((TASK.scores(predictions, truth)[name],) * 2)


def test_the_parts_hold_the_clips_of_the_lists(made: Corpus) -> None:
    problem = TASK.at(made.root).problem(0)
    assert problem.classes == 35 and problem.teacher_modalities == ("audio",)
    assert problem.labelled.modalities == ("audio",)
    assert problem.test.modalities == ("audio", "video")
    for part in PARTS:
        pool: Pool = getattr(problem, part)
        assert clips_of(pool) == sorted(clip.ytid for clip in made.clips[part])
        own = problem.truth.labels if part == "unlabelled" else pool.labels
        assert own.dtype == torch.float32
        assert sorted(own.sum(0).tolist())[-4:] == [0.0, *[float(PER_CLASS[part])] * 3]


def test_a_sample_is_the_sound_and_the_film_of_one_clip(made: Corpus) -> None:
    """The colour and the tone of each sample are those of its class."""
    problem = TASK.at(made.root).problem(0)
    for pool in (problem.unlabelled, problem.test):
        assert pool.groups is not None
        label = {clip.ytid: c for part in PARTS for clip, c in made.clips[part].items()}
        truth = np.array([label[film] for film in pool.groups])
        colours = pool.inputs["video"][slice(0, len(pool))][:, -3:]
        np.testing.assert_array_equal(colours.argmax(dim=1).numpy(), truth)
        loudest = pool.inputs["audio"][slice(0, len(pool))].argmax(dim=1).numpy()
        order = [loudest[truth == c].mean() for c in range(len(TONES))]
        assert order == sorted(order) and order[0] < order[1] < order[2]


def test_the_scale_is_that_of_training_alone(corpus: Corpus) -> None:
    before = TASK.at(corpus.root).problem(0)
    heard = torch.cat([before.labelled.inputs["audio"], before.unlabelled.inputs["audio"]])
    for features in (heard, before.unlabelled.inputs["video"]):
        assert features.dtype == torch.float32 and features.mean(dim=0).abs().max() < 1e-3
        torch.testing.assert_close(
            features.std(dim=0, correction=0), torch.ones(features.shape[1]), rtol=0, atol=1e-3
        )
    for clip in corpus.clips["test"]:
        path = corpus.file("vggsound", clip)
        write_clip(path, seconds=1, fps=4, size=(32, 32), tone=3000.0, rate=8000)
    again(corpus)
    after = TASK.at(corpus.root).problem(0)
    assert not torch.equal(after.test.inputs["audio"], before.test.inputs["audio"])
    for name in ("audio", "video"):
        old, new = (problem.unlabelled.inputs[name] for problem in (before, after))
        torch.testing.assert_close(new, old, rtol=0, atol=0)


def test_most_per_class_is_drawn_by_the_seed_and_leaves_test_alone(made: Corpus) -> None:
    task = replace(TASK, most_per_class=3)
    drawn = [task.at(made.root).problem(seed) for seed in (0, 0, 1)]
    assert [len(getattr(drawn[0], part)) for part in PARTS] == [9, 9, 18]
    assert drawn[0].split_hash == drawn[1].split_hash != drawn[2].split_hash
    assert clips_of(drawn[0].test) == clips_of(drawn[2].test)


def test_vggsounder_and_more_classes_are_settings(made: Corpus) -> None:
    several = replace(TASK, annotation="VGGSounder").at(made.root).problem(0)
    assert several.test.labels.sum(dim=1).max() == 2
    instruments = replace(TASK, sharing="names and instruments").at(made.root).problem(0)
    assert instruments.classes == 78


def test_truth_is_unknown_where_the_annotation_does_not_reach(corpus: Corpus) -> None:
    """With a train list D_u is not in VGGSounder, so that arms that need the truth are left out."""
    film = sorted(corpus.clips["unlabelled"])[0]
    (corpus.root / FOLDER / FULL[0]).write_text(f"{film.ytid},{film.start},thunder,train\n")
    lines = (corpus.root / FOLDER / TEST).read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(film.ytid)]
    (corpus.root / FOLDER / TEST).write_text("".join(kept))
    annotation = corpus.root / FOLDER / "vggsound/vggsounder.csv"
    lines = annotation.read_text().splitlines(keepends=True)
    annotation.write_text("".join(line for line in lines if not line.startswith(film.ytid)))
    task = replace(TASK, annotation="VGGSounder", most_per_class=5)
    assert not task.at(corpus.root).knows_truth() and TASK.at(corpus.root).knows_truth()
    problem = task.at(corpus.root).problem(0)
    assert (problem.truth.labels == -1).all() and len(problem.test) == 41


def test_models_answer_for_every_class_and_grow_with_their_width(made: Corpus) -> None:
    problem = TASK.at(made.root).problem(0)
    for modalities in (("audio",), ("audio", "video")):
        logits = predict(TASK.model(problem, modalities), problem.test)
        assert logits.shape == (18, 35) and bool(torch.isfinite(logits).all())
        sizes = [count_parameters(TASK.model(problem, modalities, w)) for w in (7, None, 16)]
        assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"sharing": "all"}, "vggsound.sharing is 'all'"),
        ({"annotation": "mine"}, "annotation"),
        ({"most_per_class": 0}, "most_per_class is 0"),
        ({"units": 0}, "units"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TASK, **setting)


def test_what_is_missing_comes_with_the_remedy(corpus: Corpus, tmp_path: Path) -> None:
    assert TASK.at(corpus.root).missing() is None
    assert "audioset" in str(TASK.at(tmp_path / "empty").missing())
    assert "--data-root" in str(TASK.missing())
    (corpus.root / PREPARED / INDEX).unlink()
    message = str(TASK.at(corpus.root).missing())
    assert "tasks.vggsound prepare --data-root" in message and "does not fetch" in message
    (corpus.root / FOLDER / "vggsound/vggsounder.csv").unlink()
    assert "vggsounder" in str(replace(TASK, annotation="VGGSounder").at(corpus.root).missing())
    with pytest.raises(FileNotFoundError, match="needs a data root"):
        TASK.problem(0)


def test_the_hash_follows_lists_and_clips(corpus: Corpus) -> None:
    before = TASK.at(corpus.root).data_hash()
    assert before == TASK.at(corpus.root).data_hash()
    listed = corpus.root / FOLDER / TEST
    listed.write_text(listed.read_text() + f"{A}_000000.mp4,thunder\n")
    changed = TASK.at(corpus.root).data_hash()
    assert changed != before
    corpus.file("vggsound", min(corpus.clips["test"])).unlink()
    again(corpus)
    assert TASK.at(corpus.root).data_hash() != changed


def test_too_few_clips_are_refused(corpus: Corpus) -> None:
    for clip in corpus.clips["test"]:
        corpus.file("vggsound", clip).unlink()
    again(corpus)
    with pytest.raises(ValueError, match="no clip of the test part is at hand"):
        TASK.at(corpus.root).problem(0)


def test_every_arm_runs_and_is_recorded_in_mean_average_precision(made: Corpus) -> None:
    task = short(TASK, steps=2).at(made.root)
    # Random errors stand for hard labels alone.
    arms = [arm for arm in ARMS.values() if arm.errors == "teacher's"]
    for result in run([Run(task, arm, 0) for arm in arms]):
        assert isinstance(result, Result)
        record = record_of(result, RunConfiguration())
        assert record.metric == "mAP"
        assert list(record.scores["test"]) == ["mAP", "mAUC", "d′"]


@pytest.mark.slow
def test_a_student_of_the_pseudo_labels_beats_chance(made: Corpus) -> None:
    """Chance is the same predictions of clips in another order: of 999 orders none is as good.

    A student that knows nothing passes with probability 1/1000.
    """
    (result,) = run([Run(short(TASK).at(made.root), ARMS["mm_student"], 0)])
    assert isinstance(result, Result)
    truth, predictions = result.problem.test.labels.numpy(), result.predictions["test"].numpy()
    used = truth.any(axis=0)

    def precision(order: np.ndarray) -> float:
        return float(average_precision_score(truth[:, used], predictions[order][:, used]))

    rng = np.random.default_rng(0)
    chance = [precision(rng.permutation(len(truth))) for _ in range(999)]
    assert precision(np.arange(len(truth))) > max(chance)
