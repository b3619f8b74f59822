"""Questions about one box of inputs, decided by branch and bound: who wins there, and who never does."""

from __future__ import annotations

import numpy as np

from certify.api import check
from certify.quantities.classifier import Classifier
from certify.query.formula import AllOf, AnyOf, Atoms, Formula, Region
from certify.query.region_query import region_query
from certify.settings import Budget, Settings
from certify.verdict import Verdict


class Regions:
    """Verdicts on statements about boxes of inputs: `unsat` proves one, `sat` has an input that breaks it."""

    def __init__(self, classifier: Classifier, settings: Settings | None = None) -> None:
        self.classifier = classifier
        self.settings = settings or Settings()

    def wins(self, label: int, lower: np.ndarray, upper: np.ndarray, seconds: float) -> Verdict:
        """Does this class score above all others on the whole box [n_inputs]?"""
        eye = np.eye(self.classifier.n_classes)
        rows = eye[label] - np.delete(eye, label, axis=0)
        return self.decide(rows, AnyOf(tuple(range(len(rows)))), lower, upper, seconds)

    def never(self, classes: list[int], lower: np.ndarray, upper: np.ndarray, seconds: float) -> Verdict:
        """Does some other class score above these classes everywhere on the box [n_inputs]?"""
        others = [label for label in range(self.classifier.n_classes) if label not in classes]
        eye = np.eye(self.classifier.n_classes)
        rows = np.concatenate([eye[others] - eye[removed] for removed in classes])
        groups = np.arange(len(rows)).reshape(len(classes), len(others)).tolist()
        return self.decide(rows, AnyOf(tuple(AllOf(tuple(group)) for group in groups)), lower, upper, seconds)

    def decide(
        self, rows: np.ndarray, formula: Formula, lower: np.ndarray, upper: np.ndarray, seconds: float
    ) -> Verdict:
        """Is the formula over  rows[i] . scores <= 0  false on the whole box? rows: [atoms, classes]."""
        count = len(rows)
        atoms = Atoms(rows, None, np.zeros(count), np.zeros(count, dtype=bool), np.zeros(count, dtype=int))
        query = region_query(Region(lower, upper, formula), atoms)
        budget = Budget.starting_now(seconds)
        model = self.classifier.model
        return check(self.classifier.path, query, settings=self.settings, budget=budget, load=lambda *_: model)
