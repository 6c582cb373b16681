"""Arrays that a run keeps in files beside its record: for figures and for the theory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.npz_files import read_npz
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.method.algorithm import decided, predictions_of
from mke_theory.method.evidence.label_forms import Sites, scores_of
from mke_theory.models.known_answers import reads_answers
from mke_theory.study.arms import EVIDENCE, MM_STUDENT
from mke_theory.study.result import Result
from mke_theory.training.predict import embed, predict

Arrays = dict[str, np.ndarray]

MOST_CLASSES = 8
"""A plane with more classes is not drawn."""

_SIDE = 81


def keep(folder: Path, key: str, result: Result) -> dict[str, str]:
    """Kind of artifact to its file's name under `folder`, for each kind that the run has.

    regions: decision regions, where two numbers span a plane. answers: the MM student's predictions
    on D_u, for the theory. confidence: that of the evidence student and of its teacher on test.
    scenes: predictions on the samples that the task shows in a figure.
    """
    problem, model = result.problem, result.model
    files: dict[str, tuple[str, Arrays]] = {}
    if is_planar(problem) and not reads_answers(model):  # which cannot be asked about a grid
        files["regions"] = f"{key}.npz", _regions(problem, model)
    if result.run.arm.name == MM_STUDENT.name and problem.truth.labels.ndim == 1:
        files["answers"] = f"{key}_answers.npz", _on_unlabelled(result)
    if result.run.arm.name == EVIDENCE.name:
        files["confidence"] = f"{key}_confidence.npz", _confidence(result)
    if shown := result.run.task.scenes(problem):
        whole, test = result.run.task.at_full_size(model, problem)
        seen = predictions_of(whole, test.rows(shown["rows"])).numpy().astype(np.int16)
        files["scenes"] = f"{key}_scenes.npz", {**shown, "predictions": seen}
    for name, arrays in files.values():
        path = folder / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # its stub has no keywords
    return {kind: f"artifacts/{name}" for kind, (name, _) in files.items()}


def load(path: Path) -> Arrays:
    """The arrays of a file that `keep` wrote; OSError where it is not there, or damaged."""
    try:
        return read_npz(path, "restore it, or repeat the run by --no-resume")
    except ValueError as problem:
        raise OSError(f"{path} is damaged: {problem}") from problem


def is_planar(problem: Problem) -> bool:
    """True where two modalities of one number each, nowhere missing, span a plane to be drawn."""
    pools = (problem.unlabelled, problem.test)
    shapes = [tuple(x.shape[1:]) for x in problem.unlabelled.inputs.values()]
    if shapes != [(1,), (1,)] or problem.classes > MOST_CLASSES:
        return False
    parts = [x for pool in pools for x in pool[slice(0, len(pool))].inputs.values()]
    return not any(bool(torch.isnan(x).any()) for x in parts)


def _regions(problem: Problem, model: nn.Module) -> Arrays:
    """The model's predictions on a grid over the plane, and the test points."""
    first, second = problem.modalities
    shown = problem.test[slice(0, len(problem.test))].inputs
    x, y = (shown[name].flatten().numpy() for name in (first, second))
    grids = [np.linspace(v.min() - 0.3, v.max() + 0.3, _SIDE, dtype=np.float32) for v in (x, y)]
    across, up = np.meshgrid(*grids)
    plane = {
        first: torch.from_numpy(across.reshape(-1, 1)),
        second: torch.from_numpy(up.reshape(-1, 1)),
    }
    predictions = predictions_of(model, Pool(plane, torch.full((_SIDE**2,), -1)))
    return {
        "x": grids[0],
        "y": grids[1],
        "prediction": predictions.numpy().reshape(_SIDE, _SIDE).astype(np.uint8),
        "points": np.stack([x, y], axis=1),
        "labels": problem.test.labels.numpy(),
    }


def _on_unlabelled(result: Result) -> Arrays:
    """Pseudo labels, predictions and, where there is a linear layer, the embedding of D_u."""
    multilabel = result.run.task.recipe.objective.multilabel
    predictions = decided(result.predictions["unlabelled"], multilabel=multilabel)
    arrays = {"pseudo": result.pseudo.hard.numpy(), "student": predictions.numpy()}
    if any(isinstance(module, nn.Linear) for module in result.model.modules()):
        arrays["embedding"] = embed(result.model, result.problem.unlabelled).numpy()
    return arrays


def _confidence(result: Result) -> Arrays:
    """The probability that student and teacher give to their class on test, and whether it is true.

    All are [n], over the samples of known class; of pixels, over some of every sample, and of
    several questions over all answers. The teacher is as it was trained, untempered.
    """
    test, arrays = result.problem.test, Arrays()
    multilabel = result.run.task.recipe.objective.multilabel
    sites = Sites.drawn(torch.Size((*test.labels.shape, 1)), 0)

    def at_sites(values: Tensor) -> Tensor:
        return sites.labels(values).flatten()

    def sureness(logits: Tensor) -> Tensor:
        """Confidence and class [n, 2, ...] batch by batch: logits of all pixels are too many."""
        p = torch.softmax(scores_of(logits.double(), multilabel=multilabel), dim=-1)
        confidence, classes = p.max(dim=-1)
        return torch.stack([confidence, classes.double()], dim=1)

    labels = at_sites(test.labels)
    known, truth = labels >= 0, (labels >= 0.5 if multilabel else labels)
    for who, model in (("student", result.model), ("teacher", result.teacher)):
        confidence, classes = predict(model, test, then=sureness).unbind(1)
        arrays[f"{who}_confidence"] = at_sites(confidence)[known].numpy()
        arrays[f"{who}_right"] = (at_sites(classes) == truth)[known].numpy()
    return arrays
