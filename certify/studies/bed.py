"""The test bed of a study: a trojaned model, a clean one, and the specifications that every model is held against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from certify.dataset import Dataset
from certify.errors import InputError
from certify.files import write_text
from certify.interventions.trojan import TRAINING, Trigger, implant, performance
from certify.query.robustness import robust_spec
from certify.studies.study import Study
from certify.witness.runtime import Runtime

ABSENCE, ROBUST = "absence", "robust"


@dataclass(frozen=True)
class Bed:
    """trojaned, reference: ONNX files; specs: (ABSENCE or ROBUST, file), written once, for all models."""

    trojaned: Path
    reference: Path
    test: Dataset
    trigger: Trigger
    specs: tuple[tuple[str, Path], ...]

    def attack(self, model: str | Path) -> float:
        """The share of stamped test images of other classes that a model sends to the target."""
        return float(performance(model, self.test, self.trigger)["attack_success"])


def make_bed(study: Study, out: Path, seed: int) -> Bed:
    """Train both models and write the specifications into the folder `out`/bed."""
    folder = out / "bed"
    training = replace(TRAINING, seed=seed, epochs=study.epochs)
    implant(folder, study.trigger, data=study.train, test=study.test, training=training, specs=study.images)
    absence = sorted((folder / "specs").glob("*.vnnlib"))
    trojaned = folder / "trojaned.onnx"
    robust = _write_robust(study, folder / "robust", trojaned)
    specs = tuple((ABSENCE, file) for file in absence) + tuple((ROBUST, file) for file in robust)
    return Bed(trojaned, folder / "reference.onnx", study.test, study.trigger, specs)


def _write_robust(study: Study, folder: Path, model: Path) -> list[Path]:
    """One specification for each of the first test images: within eps its class stays the label of the data."""
    runtime = Runtime(model)
    n_classes = int(runtime(study.test.flat(runtime.n_inputs)[0]).size)
    make_folder(folder)
    files = []
    for number, (x, label) in enumerate(zip(study.test.x, study.test.labels, strict=True)):
        if number == study.images:
            break
        files.append(folder / f"robust_{number}.vnnlib")
        comment = f"{study.test.name} sample {number} (class {label}), maximum norm radius {study.eps:g}"
        write_text(files[-1], robust_spec(x, study.eps, int(label), n_classes, clip=study.clip, comment=comment))
    return files


def make_folder(folder: Path) -> Path:
    """The folder, which is there now. Raises InputError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created: {error.strerror}", "choose another folder") from None
    return folder
