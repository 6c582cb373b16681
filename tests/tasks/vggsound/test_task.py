"""Clips become features and a student learns from them; missing ones are counted, bad named."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mke_theory.data.pool import Pool
from mke_theory.models import count_parameters
from mke_theory.study.arms import ARMS
from mke_theory.study.runner import Place, run, train_teacher, word_of
from mke_theory.tasks.vggsound.classes import shared_classes
from mke_theory.tasks.vggsound.clips import FILMS, Reading, find_clips, read_clip
from mke_theory.tasks.vggsound.lists import AUDIOSET, FOLDER, FULL, TEST, Clip
from mke_theory.tasks.vggsound.prepare import PREPARED, REPORT, main, prepare, wanted_clips
from mke_theory.tasks.vggsound.shards import INDEX, Shards, read_shards
from mke_theory.tasks.vggsound.split import cut_of
from mke_theory.tasks.vggsound.task import VGGSound
from mke_theory.training.predict import predict
from tests.tasks.files.clips import cut as cut_short
from tests.tasks.files.clips import sine, write_clip, write_sound
from tests.tasks.vggsound.made_clips import COLOURS, PER_CLASS, READING, TONES, Corpus, make_corpus

PARTS = ("labelled", "unlabelled", "test")
A = "A1b2C3d4-_5"
TASK = VGGSound(channels=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The corpus, prepared; no test changes it."""
    corpus = make_corpus(tmp_path_factory.mktemp("whole"))
    prepare(corpus.root, reading=READING, clips_per_shard=16)
    return corpus


@pytest.fixture
def corpus(made: Corpus, tmp_path: Path) -> Corpus:
    """A copy of its own for each test."""
    shutil.copytree(made.root, tmp_path / "copy")
    return replace(made, root=tmp_path / "copy")


def again(corpus: Corpus, *, skip_bad: bool = False) -> Any:
    return prepare(corpus.root, reading=READING, clips_per_shard=16, skip_bad=skip_bad)


def short(task: VGGSound, steps: int = 200) -> VGGSound:
    """The task with a training of some seconds."""
    of = task.recipe
    training = replace(of.teacher, steps=steps, batch_size=18, learning_rate=3e-3)
    return replace(task, recipe=replace(of, teacher=training, student=training))


def clips_of(pool: Pool) -> list[str]:
    assert pool.groups is not None
    return sorted(pool.groups.tolist())


# One clip


def test_a_clip_is_its_tone_and_its_colours(tmp_path: Path) -> None:
    red, blue = (np.full((32, 32, 3), colour, np.uint8) for colour in (COLOURS[0], COLOURS[2]))
    path = write_clip(
        tmp_path / f"{A}_000030.mp4",
        seconds=10,
        fps=2,
        size=(32, 32),
        tone=1000.0,
        rate=8000,
        picture=lambda index: red if index < 10 else blue,
    )
    features = read_clip(path, READING, pictures=True)
    assert features.audio.shape == (1, 16, 40) and features.audio.dtype == np.float16
    assert features.audio.min() >= -60 and features.audio.max() == 0
    loudest = set(features.audio[0].argmax(axis=0).tolist())
    assert len(loudest) <= 2  # one steady tone
    assert features.video is not None
    assert features.video.shape == (2, 3, 16, 16) and features.video.dtype == np.uint8
    found = features.video.mean(axis=(2, 3))
    np.testing.assert_allclose(found, [COLOURS[0], COLOURS[2]], atol=12)  # the codec's loss


def test_a_short_film_shows_its_pictures_more_than_once(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "short.mp4", seconds=1, fps=4, size=(32, 32))
    features = read_clip(path, replace(READING, pictures=3), pictures=True)
    assert features.video is not None and len(features.video) == 3
    assert read_clip(path, READING, pictures=False).video is None


def test_a_file_that_is_no_clip_is_refused_by_name(tmp_path: Path) -> None:
    whole_film = write_sound(tmp_path / "film.wav", seconds=13, rate=8000)
    with pytest.raises(ValueError, match=r"film\.wav: lasts 13\.0 s"):
        read_clip(whole_film, READING, pictures=False)
    long = write_clip(
        tmp_path / "long.mp4",
        seconds=14,
        fps=2,
        size=(32, 32),
        sound=sine(440, 10, 8000)[None],
        rate=8000,
    )
    with pytest.raises(ValueError, match=r"long\.mp4: lasts 14\.0 s"):
        read_clip(long, READING, pictures=True)
    sound_alone = write_clip(tmp_path / "sound.mp4", size=None, rate=8000)
    with pytest.raises(ValueError, match=r"sound\.mp4: has no video track"):
        read_clip(sound_alone, READING, pictures=True)
    with pytest.raises(ValueError, match="pictures is 0"):
        Reading(pictures=0)
    with pytest.raises(ValueError, match="bands"):
        Reading(bands=0)
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"hop is .* s; it has to lie above 0"):
            Reading(hop=seconds)


@pytest.mark.parametrize(("shown", "heard"), [(1.0, 10.0), (8.5, 10.0), (10.0, 4.0)])
def test_pictures_and_sound_have_to_end_together(
    tmp_path: Path, shown: float, heard: float
) -> None:
    def clip(seconds: float) -> Path:
        return write_clip(
            tmp_path / "a.mp4",
            seconds=seconds,
            fps=2,
            size=(32, 32),
            sound=sine(440, heard, 8000)[None],
            rate=8000,
        )

    read_clip(clip(heard + 0.5), READING, pictures=True)
    apart = rf"a\.mp4: its pictures end after {shown} s and its sound after {heard:g}\.\d s"
    with pytest.raises(ValueError, match=apart):
        read_clip(clip(shown), READING, pictures=True)
    read_clip(clip(shown), READING, pictures=False)  # its sound is whole


def test_clips_are_found_in_any_folder_and_by_the_first_kind_of_file(tmp_path: Path) -> None:
    wanted = [Clip(A, 0), Clip(A, 10), Clip(A, 20)]
    for name in (f"x/y/{A}_000000.mkv", f"{A}_000000.mp4", f"x/{A}_000010.webm", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / f"{A}_000099.mp4").touch()
    found = find_clips(tmp_path, wanted, FILMS)
    assert {str(clip): path.suffix for clip, path in found.files.items()} == {
        f"{A}_000000": ".mp4",
        f"{A}_000010": ".webm",
    }
    assert found.strange == 1
    (tmp_path / "x" / f"{A}_000000.mp4").touch()
    with pytest.raises(ValueError, match="there twice"):
        find_clips(tmp_path, wanted, FILMS)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_clips(tmp_path / "absent", wanted, FILMS)


# Shards


def test_shards_read_as_one_array() -> None:
    whole = np.arange(60).reshape(20, 3)
    shards = Shards([whole[:7], whole[7:7], whole[7:8], whole[8:]])
    assert (len(shards), shards.shape) == (20, (20, 3))
    rows = np.random.default_rng(0).integers(0, 20, 50)
    np.testing.assert_array_equal(shards[rows], whole[rows])
    assert shards[rows[:0]].shape == (0, 3)
    with pytest.raises(ValueError, match="no sample"):
        Shards([whole[:0]])


def test_prepared_clips_are_the_clips_read_one_by_one(made: Corpus) -> None:
    prepared = read_shards(made.root / PREPARED)
    assert prepared.reading == READING and prepared.bad == ()
    assert len(prepared.audioset.clips) == 18 and len(prepared.vggsound.clips) == 42
    shelf = prepared.vggsound
    audio, video = (Shards(shelf.arrays[name]) for name in ("audio", "video"))
    for row in (0, 17, 41):  # in the first, second and third shard
        alone = read_clip(made.file("vggsound", shelf.clips[row]), READING, pictures=True)
        np.testing.assert_array_equal(audio[np.array([row])][0], alone.audio)
        np.testing.assert_array_equal(video[np.array([row])][0], alone.video)


def test_what_is_done_is_not_done_again(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    original = read_clip

    def counted(path: Path, reading: Reading, *, pictures: bool) -> Any:
        read.append(path)
        return original(path, reading, pictures=pictures)

    monkeypatch.setattr("mke_theory.tasks.vggsound.shards.read_clip", counted)
    again(corpus)
    assert read == []
    # Another clip in place of one: its shard of 16 is made anew, and the old one is removed.
    members = sorted(corpus.clips["labelled"])
    shutil.copy(corpus.file("audioset", members[5]), corpus.file("audioset", members[0]))
    again(corpus)
    assert len(read) == 16
    shards = [path for path in (corpus.root / PREPARED).iterdir() if path.is_dir()]
    assert len(shards) == 2 + 3
    read.clear()
    prepare(corpus.root, reading=replace(READING, pictures=1), clips_per_shard=16)
    assert len(read) == 60


# What is missing, and what is bad


def test_missing_clips_are_counted_and_bound_the_metrics(corpus: Corpus) -> None:
    test, labelled = sorted(corpus.clips["test"]), sorted(corpus.clips["labelled"])
    for clip in test[:4]:
        corpus.file("vggsound", clip).unlink()
    corpus.file("audioset", labelled[0]).unlink()
    outcome = again(corpus)
    assert outcome["vggsound"].missing == [str(clip) for clip in test[:4]]
    report = json.loads((corpus.root / PREPARED / REPORT).read_text())
    assert report["vggsound"]["missing"] == [str(clip) for clip in test[:4]]
    assert (report["audioset"]["wanted"], report["audioset"]["prepared"]) == (18, 17)
    problem = TASK.at(corpus.root).problem(0)
    assert [len(getattr(problem, part)) for part in PARTS] == [17, 24, 14]
    assert TASK.at(corpus.root).absent().clips == tuple(test[:4])
    said = torch.rand(problem.test.labels.shape, generator=torch.Generator().manual_seed(0))
    scores = TASK.scores(said, problem.test.labels)
    bounds = TASK.at(corpus.root).bounds(said, problem.test.labels)
    assert list(bounds) == list(scores) == ["mAP", "mAUC", "d′"]
    for name, (low, high) in bounds.items():
        assert low < scores[name] < high


def test_with_all_clips_there_the_bounds_are_the_scores(made: Corpus) -> None:
    truth = TASK.at(made.root).problem(0).test.labels
    said = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0))
    for name, bounds in TASK.at(made.root).bounds(said, truth).items():
        assert bounds == pytest.approx((TASK.scores(said, truth)[name],) * 2)


def test_bad_clips_are_named_and_left_out_only_on_request(corpus: Corpus) -> None:
    bad = sorted(corpus.clips["test"])[3]
    cut_short(corpus.file("vggsound", bad), 0.5)
    write_sound(corpus.file("audioset", min(corpus.clips["labelled"])), tone=0.0)  # silence
    (corpus.root / PREPARED / INDEX).unlink()
    with pytest.raises(ValueError, match=rf"2 clips cannot be used(.|\n)*{bad}(.|\n)*--skip-bad"):
        again(corpus)
    assert not (corpus.root / PREPARED / INDEX).exists()
    outcome = again(corpus, skip_bad=True)
    assert (outcome["vggsound"].made.clips, outcome["audioset"].made.clips) == (41, 17)
    assert (
        str(bad) in json.loads((corpus.root / PREPARED / REPORT).read_text())["vggsound"]["bad"][0]
    )
    with pytest.raises(ValueError, match=r"2 bad clips were left out.*--skip-bad"):
        TASK.at(corpus.root).problem(0)
    told = replace(TASK, skip_bad=True)
    problem = told.at(corpus.root).problem(0)
    assert len(problem.skipped) == 2 and len(problem.test) == 17
    assert told.at(corpus.root).absent().clips == (bad,)


def test_a_set_without_any_clip_is_refused(corpus: Corpus) -> None:
    shutil.rmtree(corpus.root / "audioset_clips")
    with pytest.raises(FileNotFoundError, match="audioset_clips: no such folder"):
        again(corpus)
    (corpus.root / "audioset_clips").mkdir()
    with pytest.raises(ValueError, match="none of the 18 clips that the lists want"):
        again(corpus)
    for clip in corpus.clips["labelled"]:
        corpus.file("audioset", clip).write_bytes(b"no sound")
    with pytest.raises(ValueError, match="no clip of audioset is left"):
        again(corpus, skip_bad=True)


def test_a_damaged_or_removed_shard_is_refused(corpus: Corpus) -> None:
    folder = corpus.root / PREPARED
    shard = next(folder.glob("vggsound-*"))
    video = shard / "video.npy"
    video.write_bytes(video.read_bytes()[:-1] + b"\0\0")
    with (
        pytest.warns(RuntimeWarning, match="has changed"),
        pytest.raises(ValueError, match="missing or damaged; prepare the clips again"),
    ):
        read_shards(folder)
    shutil.rmtree(shard)
    with pytest.raises(ValueError, match="missing or damaged"):
        read_shards(folder)
    again(corpus)
    assert len(read_shards(folder).vggsound.clips) == 42


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[]",
        '{"version": 2, "reading": {}, "shards": {}}',
        '{"version": 0}',
        '{"version": 1, "reading": 3}',
    ],
)
def test_a_damaged_index_is_refused(corpus: Corpus, text: str) -> None:
    (corpus.root / PREPARED / INDEX).write_text(text)
    with pytest.raises(ValueError, match="prepare the clips again"):
        read_shards(corpus.root / PREPARED)


# The task


def test_the_parts_hold_the_clips_of_the_lists(made: Corpus) -> None:
    problem = TASK.at(made.root).problem(0)
    assert problem.classes == 35 and problem.teacher_modalities == ("audio",)
    assert problem.labelled.modalities == ("audio",)
    assert problem.test.modalities == ("audio", "video")
    for part in PARTS:
        pool: Pool = getattr(problem, part)
        assert clips_of(pool) == sorted(clip.ytid for clip in made.clips[part])
        assert pool.labels.dtype == torch.float32
        assert sorted(pool.labels.sum(0).tolist())[-4:] == [0.0, *[float(PER_CLASS[part])] * 3]


def test_a_sample_is_the_sound_and_the_film_of_one_clip(made: Corpus) -> None:
    """The colour and the tone of each sample are those of its class."""
    problem = TASK.at(made.root).problem(0)
    for pool in (problem.unlabelled, problem.test):
        assert pool.groups is not None
        label = {clip.ytid: c for part in PARTS for clip, c in made.clips[part].items()}
        truth = np.array([label[film] for film in pool.groups])
        batch = pool[slice(0, len(pool))]
        brightest = batch.inputs["video"].mean(dim=(1, 3, 4)).argmax(dim=1).numpy()
        np.testing.assert_array_equal(brightest, truth)
        loudest = batch.inputs["audio"][:, 0].mean(dim=2).argmax(dim=1).numpy()
        order = [loudest[truth == c].mean() for c in range(len(TONES))]
        assert order == sorted(order) and order[0] < order[1] < order[2]


def test_the_scale_is_that_of_training_alone(corpus: Corpus) -> None:
    before = TASK.at(corpus.root).problem(0)
    audio = torch.cat(
        [x.inputs["audio"][slice(0, 99)] for x in (before.labelled, before.unlabelled)]
    )
    assert audio.mean() == pytest.approx(0.0, abs=1e-3) and audio.std() == pytest.approx(
        1, abs=1e-3
    )
    video = before.unlabelled.inputs["video"][slice(0, 99)]
    assert video.mean(dim=(0, 1, 3, 4)).abs().max() < 1e-4
    for clip in corpus.clips["test"]:
        path = corpus.file("vggsound", clip)
        write_clip(path, seconds=1, fps=4, size=(32, 32), tone=3000.0, rate=8000)
    again(corpus)
    after = TASK.at(corpus.root).problem(0)
    assert not torch.equal(after.test[[0]].inputs["audio"], before.test[[0]].inputs["audio"])
    for name in ("audio", "video"):
        old, new = (p.unlabelled.inputs[name][slice(0, 99)] for p in (before, after))
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
    """With a train list D_u is not in VGGSounder, which arms that need the truth are told."""
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
    assert (problem.unlabelled.labels == -1).all() and len(problem.test) == 41


def test_models_answer_for_every_class_and_grow_with_their_width(made: Corpus) -> None:
    problem = TASK.at(made.root).problem(0)
    for modalities in (("audio",), ("audio", "video")):
        logits = predict(TASK.model(problem, modalities), problem.test)
        assert logits.shape == (18, 35) and bool(torch.isfinite(logits).all())
        sizes = [count_parameters(TASK.model(problem, modalities, w)) for w in (7, None, 16)]
        assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.slow
def test_published_encoders_are_a_setting(made: Corpus) -> None:
    task = replace(TASK, picture="resnet", sound="ast")
    problem = task.at(made.root).problem(0)
    logits = predict(task.model(problem, ("audio", "video")), problem.test.rows([0, 1]))
    assert logits.shape == (2, 35)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"sharing": "all"}, "vggsound.sharing is 'all'"),
        ({"annotation": "mine"}, "annotation"),
        ({"source": "web"}, "source"),
        ({"picture": "vit"}, "picture"),
        ({"most_per_class": 0}, "most_per_class is 0"),
        ({"channels": 0}, "channels"),
        ({"sound_weights": "some/model"}, "but sound is 'conv'"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TASK, **setting)


def test_what_is_missing_is_said_with_the_remedy(corpus: Corpus, tmp_path: Path) -> None:
    assert TASK.at(corpus.root).missing() is None
    assert "audioset" in str(TASK.at(tmp_path / "empty").missing())
    assert "--data-root" in str(TASK.missing())
    (corpus.root / PREPARED / INDEX).unlink()
    said = str(TASK.at(corpus.root).missing())
    assert "vggsound_prepare prepare --data-root" in said and "does not fetch" in said
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


# End to end


def test_every_arm_runs_and_is_recorded_in_mean_average_precision(made: Corpus) -> None:
    task, place = short(TASK, steps=2), Place(made.root)
    problem = task.at(made.root).problem(0)
    teacher = train_teacher(task, 0, problem, place)
    for arm in ARMS.values():
        if arm.errors == "independent":  # stands for hard labels alone
            continue
        record, _ = run(task, arm, 0, problem, teacher, place)
        assert record["metric"] == "mAP"
        assert list(record["scores"]["test"]) == ["mAP", "mAUC", "d′"]


@pytest.mark.slow
def test_a_student_of_the_pseudo_labels_beats_chance(made: Corpus) -> None:
    """Chance is the same answers to clips in another order: of 999 orders none is as good.

    A student that knows nothing passes with probability 1/1000.
    """
    task, place = short(TASK), Place(made.root)
    problem = task.at(made.root).problem(0)
    teacher = train_teacher(task, 0, problem, place)
    record, student = run(task, ARMS["mm_student"], 0, problem, teacher, place)
    said, truth = word_of(student, problem.test, True).numpy(), problem.test.labels.numpy()
    used = truth.any(axis=0)

    def precision(order: np.ndarray) -> float:
        return float(average_precision_score(truth[:, used], said[order][:, used]))

    rng = np.random.default_rng(0)
    chance = [precision(rng.permutation(len(truth))) for _ in range(999)]
    assert record["metrics"]["test"] > max(chance)


# The command line


def test_the_commands_prepare_and_name_what_is_missing(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: str) -> str:
        call = ["vggsound_prepare", *arguments, "--data-root", str(corpus.root)]
        monkeypatch.setattr(sys, "argv", call)
        main()
        return capsys.readouterr().out

    gone = min(corpus.clips["test"])
    corpus.file("vggsound", gone).unlink()
    assert command("missing").splitlines() == [
        "# labelled: 18 clips of audioset listed, 18 present, 0 missing",
        "# unlabelled: 24 clips of vggsound listed, 24 present, 0 missing",
        "# test: 18 clips of vggsound listed, 17 present, 1 missing",
        f"vggsound test {gone}",
    ]
    reading = (f"--reading.{name}={value}" for name, value in vars(READING).items())
    assert "vggsound: 41 of 42 clips prepared, 1 missing, 0 bad" in command("prepare", *reading)
    shutil.rmtree(corpus.root / "audioset_clips")
    others = sorted(corpus.clips["unlabelled"])
    for clip in others:
        corpus.file("vggsound", clip).unlink()
    assert command("missing").splitlines() == [
        "# labelled: 18 clips of audioset listed, 0 present, 18 missing",
        "# unlabelled: 24 clips of vggsound listed, 0 present, 24 missing",
        "# test: 18 clips of vggsound listed, 17 present, 1 missing",
        f"# {corpus.root / 'audioset_clips'}: no such folder; it is where clips of audioset belong",
        *(f"audioset labelled {clip}" for clip in sorted(corpus.clips["labelled"])),
        *(f"vggsound unlabelled {clip}" for clip in others),
        f"vggsound test {gone}",
    ]
    (corpus.lists / "vggsound/test.csv").unlink()
    with pytest.raises(SystemExit, match=r"error: .*no such list"):
        command("prepare")


@pytest.mark.parametrize("ontology", [False, True])
@pytest.mark.parametrize("sharing", ["names", "names and instruments"])
def test_what_any_setting_wants_is_prepared(
    tmp_path: Path, ontology: bool, sharing: Literal["names", "names and instruments"]
) -> None:
    """Also a film of D_u that is kept out of it where D_l has more classes."""
    corpus = make_corpus(tmp_path, clips=False)
    by_ontology, by_instrument = "z" * 11, "y" * 11
    row = next(row for row in shared_classes("names and instruments") if row.rule == "playing")
    with (corpus.lists / AUDIOSET).open("a") as file:
        file.write(f"{by_ontology},0.0,10.0,/m/0\n{by_instrument},0.0,10.0,{row.mid}\n")
    (corpus.lists / FULL[0]).write_text(
        f"{by_ontology},30,thunder,train\n{by_instrument},30,thunder,train\n"
    )
    wanted, _ = wanted_clips(corpus.lists)
    cut = cut_of(corpus.lists, sharing=sharing, ontology=ontology)
    assert wanted["audioset"] >= set(cut.labelled.clips)
    assert wanted["vggsound"] >= {*cut.unlabelled.clips, *cut.test.clips}
    films = {clip.ytid for clip in cut.unlabelled.clips}
    assert (by_ontology in films, by_instrument in films) == (not ontology, sharing == "names")


@pytest.mark.data("av_event_metadata")
def test_the_official_lists_want_these_many_clips(data_root: Path) -> None:
    wanted, _ = wanted_clips(data_root / FOLDER)
    assert {which: len(clips) for which, clips in wanted.items()} == {
        "audioset": 4563,
        "vggsound": 8957,
    }
