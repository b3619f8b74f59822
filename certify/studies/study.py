"""What a study is: data, a test bed with a trojan, the interventions to compare, and how much to certify of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from certify.dataset import Dataset
from certify.errors import InputError
from certify.interventions.trojan import Trigger

STUDIES = Path(__file__).parent / "of"


@dataclass(frozen=True)
class Variant:
    """One intervention on the trojaned model, a row of the table.

    method, settings, training: as for `certify harden`; start: the variant it goes on from, "" for the trojaned model.
    """

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""


@dataclass(frozen=True)
class Study:
    """An experiment. train: what the models learn from; repair: the clean samples that interventions see; test: what
    everything is measured on.

    trigger, epochs: the trojan, and for how long the first two models are trained; clip: the range of inputs; eps:
    radius (maximum norm) of robustness; near: radius within which models are compared with the trojaned one; images,
    measured, regions: of the test data, the first so many have specifications, have radii and probabilities, and are
    regions of comparison; map: whether triggers are looked for at every position; seconds: for each specification and
    model.
    """

    name: str
    train: Dataset
    repair: Dataset
    test: Dataset
    trigger: Trigger
    variants: tuple[Variant, ...]
    epochs: int = 60
    clip: tuple[float, float] = (0.0, 1.0)
    eps: float = 0.05
    near: float = 0.02
    images: int = 200
    measured: int = 30
    regions: int = 20
    map: bool = True
    seconds: float = 5.0

    def smoke(self) -> Study:
        """The same with little of everything, to see that it works."""
        few = tuple(variant for variant in self.variants if variant.name in ("fine-tuned", "scoped"))
        return replace(self, variants=few, images=30, measured=5, regions=3, map=False)


def study_names() -> list[str]:
    """The studies there are: the files of the folder."""
    return sorted(path.stem for path in STUDIES.glob("[a-z]*.py"))


def make_study(name: str, data: str | None) -> Study:
    """The study of this name. data: where its data are, where they do not come with a library.

    Raises InputError for another name, or for data that are missing or not what the study is about.
    """
    if name not in study_names():
        raise InputError(f"there is no suite '{name}'", f"choose one of: {', '.join(study_names())}")
    study: Study = import_module(f"certify.studies.of.{name}").study(data)
    return study


def needed(data: str | None, what: str) -> str:
    """The path of the data. Raises InputError where none is given."""
    if data is None:
        raise InputError(f"this suite needs {what}", "give it with --data PATH")
    return data
