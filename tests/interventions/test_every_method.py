"""Each method trains what it says, gives the same for the same seed, and refuses settings that make no sense."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trained_models import blobs, convolutional, perceptron

from certify.dataset import make_dataset
from certify.errors import InputError, UnsupportedOp
from certify.interventions.base import Run, Training, find_method, method_names
from certify.interventions.intervals import margins, propagate
from certify.interventions.methods.lat import Lat
from certify.interventions.methods.scope import Scope, evidence, retain_probability, unneeded
from certify.interventions.reach import Reach
from certify.interventions.settings import describe, make, parse
from certify.interventions.train import Batch, accuracy, fit
from certify.interventions.trainable import TrainableModel

CASES = [
    ("finetune", {}),
    ("adversarial", {}),
    ("adversarial", {"norm": "l2", "eps": 0.3, "clean": 1.0}),
    ("lat", {}),
    ("lat", {"tensor": "h1", "norm": "linf", "unit": "batch", "eps": 0.2}),
    ("lat", {"unit": "absolute", "eps": 0.5, "clean": 0.5, "steps": 0}),
    ("lat", {"target": 1}),
    ("lat", {"latent_set": "verifier"}),
    ("lat", {"latent_set": "verifier", "bounds": "ibp", "tensor": "h1"}),
    ("certified", {}),
    ("scope", {}),
    ("scope", {"decay": 0.0, "forget": 0.1}),
    ("scope", {"excitation": 0.2}),
]


def trained(name: str, settings: dict[str, object], seed: int = 0, epochs: int = 15) -> tuple[TrainableModel, Run]:
    model = TrainableModel(perceptron())
    run = Run(Training(epochs=epochs, lr=0.01, batch=20, seed=seed))
    return make(find_method(name), name, settings).apply(model, blobs(), run), run


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_method_learns_and_repeats_itself(name: str, settings: dict[str, object]) -> None:
    model, run = trained(name, settings)
    x, y = model.samples(blobs())
    # Evidence rests on one or two of five neurons, which excitation dropout then drops nearly always.
    assert accuracy(model, x, y) >= (0.6 if "excitation" in settings else 0.9)
    assert [epoch["epoch"] for epoch in run.epochs] == list(range(1, 16))
    once, again, other = (trained(name, settings, seed, 1)[0].parameters for seed in (0, 0, 1))
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert any(not torch.equal(once[key], other[key]) for key in once)


def test_every_method_is_tried_here_or_has_a_file_of_its_own() -> None:
    assert {name for name, _ in CASES} <= set(method_names())


@pytest.mark.parametrize("name", method_names())
def test_a_method_describes_itself(name: str) -> None:
    method = find_method(name)
    assert method.about
    assert all(about for _, _, about in describe(method))


def test_weights_that_no_sample_exercises_fade_with_coupled_decay_only() -> None:
    data = blobs()
    dark = make_dataset(np.where(np.arange(6) == 2, 0.5, data.x), data.y, "blobs")  # what the mean is, so 0
    left = {}
    for name in ("scope", "finetune"):
        model = TrainableModel(perceptron())
        make(find_method(name), name, {}).apply(model, dark, Run(Training(epochs=60, lr=0.01, batch=20)))
        left[name] = float(model.parameters["w1"][:, 2].detach().abs().max())
    start = float(TrainableModel(perceptron()).parameters["w1"][:, 2].detach().abs().max())
    assert left["finetune"] == start
    assert left["scope"] < 0.02 * start


def test_what_the_data_does_not_need_is_what_it_has_no_gradient_for() -> None:
    data = blobs()
    dark = make_dataset(np.where(np.arange(6) == 2, 0.5, data.x), data.y, "blobs")
    spare = unneeded(TrainableModel(perceptron()), dark, Run(Training()))
    assert torch.equal(spare["w1"][:, 2], torch.ones(8))
    assert all(float(share.min()) >= 0.0 and float(share.max()) <= 1.0 for share in spare.values())
    assert float(spare["w1"].mean()) < 0.99


def test_evidence_is_excitation_backprop_at_the_last_hidden_layer() -> None:
    model = TrainableModel(perceptron())
    x, y = model.samples(blobs())
    z = model.run(x, ("h2",))["h2"][:, 0]
    product = z * model.parameters["w3"][y].clamp(min=0)
    expected = product / product.sum(1, keepdim=True)
    some = product.sum(1) > 0
    found = evidence(model, Batch(x, y, y, 0.0), "h2")[:, 0]
    torch.testing.assert_close(found[some], expected[some])
    torch.testing.assert_close(found.sum(1), torch.ones(len(x)))


def test_retaining_follows_the_evidence() -> None:
    shares = torch.tensor([[0.0, 1.0, 0.25, 0.125]])
    kept = retain_probability(shares, 0.6)[0]
    torch.testing.assert_close(kept[:3], torch.tensor([1.0, 0.0, 0.6]))
    assert 0.6 < float(kept[3]) < 1.0


@pytest.mark.parametrize("bounds", ["crown", "ibp"])
def test_the_verifiers_latent_set_holds_what_inputs_reach(bounds: str) -> None:
    model = TrainableModel(convolutional())
    x = model.put(np.random.default_rng(0).uniform(size=(7, 16)))
    z = model.run(x, ("p",))["p"].detach()
    box = Reach("p", 0.1, (0.0, 1.0), bounds)(model, x, z)
    for seed in range(20):
        noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        near = (x + 0.1 * noise.sign()).clamp(0, 1)
        reached = model.run(near, ("p",))["p"]
        assert (box.low - 1e-5 <= reached).all()
        assert (reached <= box.high + 1e-5).all()
    point = Reach("p", 0.0, (0.0, 1.0), bounds)(model, x, z)
    assert float((point.high - point.low).max()) < 1e-5 < float((box.high - box.low).max())


@pytest.mark.parametrize("proto", [perceptron(), perceptron(softmax=True), convolutional()])
@pytest.mark.parametrize("eps", [0.0, 0.05])
def test_interval_margins_are_below_sampled_ones_and_exact_at_a_point(proto, eps: float) -> None:
    model = TrainableModel(proto)
    n = int(np.prod(model.input_shape))
    x = model.put(np.random.default_rng(0).uniform(size=(9, n)))
    y = torch.arange(9) % 3
    found = margins(model, x - eps, x + eps, y)
    for seed in range(20):
        near = x + eps * (torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1).sign()
        scores = model.logits(near)
        sampled = scores.gather(1, y[:, None]) - scores
        assert (found <= sampled + 1e-5).all()
        if eps == 0.0:
            torch.testing.assert_close(found, sampled, atol=1e-5, rtol=1e-4)


def test_the_difference_of_scores_is_taken_before_it_is_bounded() -> None:
    linear, bent = TrainableModel(perceptron()), TrainableModel(perceptron(softmax=True))
    bent.scores = bent.output  # nothing linear is left after the last hidden tensor
    x, y = linear.samples(blobs())
    found = margins(linear, x - 0.1, x + 0.1, y)
    hidden = [propagate(linear, "scores", x - 0.1, x + 0.1)[side][:, 0] for side in (0, 1)]
    apart = hidden[0].gather(1, y[:, None]) - hidden[1]
    others = torch.ones_like(found).scatter(1, y[:, None], 0.0).bool()
    assert (found[others] >= apart[others] - 1e-5).all()
    assert float((found - apart).detach()[others].mean()) > 0.01
    with pytest.raises(UnsupportedOp, match="Softmax"):
        margins(bent, x - 0.1, x + 0.1, y)


def test_a_training_that_diverges_is_an_error() -> None:
    model = TrainableModel(perceptron())
    with pytest.raises(InputError, match="diverged in epoch"):
        fit(model, blobs(), Run(Training(epochs=3, lr=1e30)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tensor": "nope"}, "no node computes"),
        ({"target": 3}, "the model has 3 classes"),
        ({"norm": "l7"}, "choose one of: l2, linf"),
        ({"eps": -1.0}, "the least is 0"),
        ({"eps": float("nan")}, "give a finite number"),
        ({"steps": 2.5}, "expected int"),
        ({"nope": 1}, "has no setting 'nope'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        trained("lat", settings)


def test_samples_outside_of_the_range_given_are_refused() -> None:
    with pytest.raises(InputError, match="outside of"):
        trained("adversarial", {"high": 0.5})


def test_settings_are_read_from_texts() -> None:
    texts = ["eps=0.5", "tensor=h1", "target=none", "steps=0"]
    assert parse(Lat, "lat", texts) == {"eps": 0.5, "tensor": "h1", "target": None, "steps": 0}
    assert make(Lat, "lat", {"eps": 1}) == Lat(eps=1)
    assert make(Scope, "scope", {"decay": 0.5}).decay == 0.5  # type: ignore[attr-defined]
    for text, message in (("eps", "KEY=VALUE"), ("eps=x", "expected float"), ("e=1", "no such setting")):
        with pytest.raises(InputError, match=message):
            parse(Lat, "lat", [text])


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="choose one of: .*finetune"):
        find_method("nope")
