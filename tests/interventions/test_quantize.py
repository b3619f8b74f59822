"""Quantisation: so many levels, equal steps, errors of half a step, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from methods import apply, array, written
from trained_models import blobs, convolutional, perceptron

from certify.errors import InputError
from certify.interventions.trainable import TrainableModel

WEIGHTS = {"w1": 0, "w2": 1, "w3": 0}


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_weights_take_few_equally_spaced_values_that_include_zero(bits, scheme, per) -> None:
    before = TrainableModel(perceptron())
    done, facts = apply("quantize", TrainableModel(perceptron()), 0, bits=bits, scheme=scheme, per=per)
    for (name, axis), fact in zip(WEIGHTS.items(), facts["layers"].values(), strict=True):
        old, new = array(before, name), array(done, name)
        groups = np.moveaxis(np.stack([old, new]), axis + 1, 1) if per == "channel" else np.stack([old, new])[:, None]
        for a, b in zip(*groups.astype(float), strict=True):
            step = 2 * abs(a).max() / (2**bits - 2)
            if scheme == "asymmetric":
                step = (max(a.max(), 0) - min(a.min(), 0)) / (2**bits - 1)
            levels = np.unique(b)
            assert len(levels) <= 2**bits - (scheme == "symmetric")
            np.testing.assert_allclose(levels / step, np.round(levels / step), atol=1e-4)
            # The zero point is rounded too, which moves the ends by another half of a step.
            assert abs(a - b).max() <= step * (0.5 if scheme == "symmetric" else 1.0) + 1e-6
        assert fact["largest_error"] == pytest.approx(abs(old - new).max()) and fact["levels"] == len(np.unique(new))
    for name in ("b1", "b2", "b3"):
        np.testing.assert_array_equal(array(done, name), array(before, name))


def test_weights_all_of_one_sign_are_told_apart_better_without_symmetry() -> None:
    model = TrainableModel(perceptron())
    model.parameters["w1"].detach().abs_()
    errors = [
        apply("quantize", model.copy(), 0, bits=3, scheme=scheme)[1]["layers"]["first"]["largest_error"]
        for scheme in ("symmetric", "asymmetric")
    ]
    assert errors[1] < 0.7 * errors[0]


def test_the_file_is_what_was_rounded(tmp_path) -> None:
    done, _ = apply("quantize", TrainableModel(convolutional()), 0, blobs(16), bits=4, per="channel")
    read = written(done, tmp_path)
    assert all(len(np.unique(kernel)) <= 15 for kernel in array(read, "k"))


def test_training_knows_of_the_rounding(tmp_path) -> None:
    """At 2 bits the weights trained as rounded do better than those rounded after the same training."""
    x, y = blobs().x, blobs().labels

    def right(model: TrainableModel) -> float:
        return float((model.logits(model.put(x)).argmax(1).numpy() == y).mean())

    trained, _ = apply("finetune", TrainableModel(perceptron()), 10)
    after, _ = apply("quantize", trained.copy(), 0, bits=2)
    aware, _ = apply("quantize", trained.copy(), 10, bits=2)
    assert right(aware) >= 0.9 and right(aware) >= right(after)
    assert len(np.unique(array(written(aware, tmp_path), "w1"))) <= 3


def test_bits_beyond_what_floats_tell_apart_are_refused() -> None:
    with pytest.raises(InputError, match="17 bits"):
        apply("quantize", TrainableModel(perceptron()), 0, bits=17)
