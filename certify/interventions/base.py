"""What an intervention is: one file in `methods/` with a `METHOD`; the command line names it as the file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from certify.errors import InputError

if TYPE_CHECKING:
    import torch

    from certify.dataset import Dataset
    from certify.interventions.trainable import TrainableModel


@dataclass(frozen=True)
class Training:
    """What all methods that train have in common. lr: Adam's step size; batch: samples a step; seed: of everything."""

    epochs: int = 100
    lr: float = 1e-3
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch < 1 or not self.lr > 0.0:
            raise InputError("training takes epochs >= 0, a batch of 1 or more and a step size above 0")


@dataclass
class Run:
    """One intervention under way: how to train, the source of chance, and what is written down as it goes.

    epochs: a record {"stage", "epoch", "of", "loss", ...} for each epoch that has ended; facts: whatever else the
    method finds worth writing into the record, such as the tensor it worked on; progress: told of each epoch's record.
    """

    training: Training
    progress: Callable[[dict[str, Any]], None] = lambda record: None
    epochs: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import torch

        self.chance: torch.Generator = torch.Generator().manual_seed(self.training.seed)

    def part(self, epochs: int) -> Run:
        """The same run with so many epochs to train: for a method that trains more than once."""
        part = replace(self, training=replace(self.training, epochs=epochs))
        part.chance = self.chance
        return part

    def epoch_done(self, record: dict[str, Any]) -> None:
        """Write down what an epoch came to."""
        self.epochs.append(record)
        self.progress(record)


class Intervention(ABC):
    """A way to change a trained model. A subclass is a frozen dataclass of its settings, made by `setting`.

    about: one line for `certify harden --list`; training: what it takes where the user does not say.
    """

    about: ClassVar[str]
    training: ClassVar[Training] = Training()

    @abstractmethod
    def apply(self, model: TrainableModel, data: Dataset, run: Run) -> TrainableModel:
        """The changed model, which may be the one given or a new one.

        Raises InputError where model, data and settings do not fit.
        """


def setting(default: Any, about: str, least: float | None = None) -> Any:
    """A field of an intervention: its default, what it is, the least value it may have.

    Its type is one of bool, int, float, str, a Literal of texts, or one of these or None.
    """
    return field(default=default, metadata={"about": about, "least": least})


METHODS = Path(__file__).parent / "methods"


def method_names() -> list[str]:
    """The methods there are: the files of the folder, with - for _."""
    return sorted(path.stem.replace("_", "-") for path in METHODS.glob("[a-z]*.py"))


def find_method(name: str) -> type[Intervention]:
    """The intervention of this name. Raises InputError if there is none."""
    if name not in method_names():
        raise InputError(f"there is no method '{name}'", f"choose one of: {', '.join(method_names())}")
    method: type[Intervention] = import_module(f"certify.interventions.methods.{name.replace('-', '_')}").METHOD
    return method
