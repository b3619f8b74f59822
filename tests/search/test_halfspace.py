"""Which rectifier to split: candidates that cannot be looked at, layers of all sizes, rectifiers of all slopes."""

from __future__ import annotations

import numpy as np
import pytest
from networks import PLANAR_KINDS, Rng, apply, finish, layer, random_box, start

from certify.bounds.backward import Rows
from certify.bounds.intermediate import intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.optimise import Ascent, optimise
from certify.network.graph import Network, Node
from certify.network.passes import simplify
from certify.ops.arithmetic import add
from certify.ops.dense import dense
from certify.ops.relu import Relu
from certify.search.hidden_forms import HiddenForm, hidden_forms
from certify.search.pick.halfspace import LEAST_GAIN, Row, look_ahead

Seen = tuple[Network, dict[str, HiddenForm], Row, Interval]


def seen(network: Network, rng: Rng, batch: int = 3) -> Seen:
    """The arguments that search passes for random boxes inside of a root's box, and a row that is far from closing."""
    outer = random_box(network, rng, radius=2.0)
    forms = hidden_forms(intermediate_bounds(network, outer), [n.inputs[0] for n in rectifiers(network)], 2**24)
    box = Interval(*np.sort(rng.uniform(outer.lower, outer.upper, size=(2, batch, network.n_inputs)), axis=0))
    relaxed = intermediate_bounds(network, box)
    found = optimise(relaxed, Rows({network.output: rng.normal(size=(1, 1, 2))}, np.full((1, 1), -50.0)), Ascent(3))
    weights = {
        n.name: np.broadcast_to(found.weights[n.name].reshape(len(found.weights[n.name]), -1), (batch, n_elements(n)))
        for n in rectifiers(network)
    }
    planes = {n.name: relaxed.relaxations[n.name].planes(found.slopes[n.name]) for n in rectifiers(network)}
    a = np.broadcast_to(found.form.coefficient[:, 0], box.lower.shape)
    row = Row(a, found.form.lower(box)[:, 0], weights, planes, np.arange(batch), np.zeros(batch, dtype=int))
    return network, forms, row, box


def n_elements(node: Node) -> int:
    """Length of a rectifier's flat input."""
    return int(np.prod(node.op.out_shape))


def rectifiers(network: Network) -> list[Node]:
    """The nodes that search may split."""
    return [node for node in network.nonlinear if isinstance(node.op, Relu)]


def every_neuron(network: Network, batch: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(number, element) of all candidates of all rectifiers, [batch, candidates] each."""
    pairs = [
        (number, element)
        for number, node in enumerate(network.nonlinear)
        if isinstance(node.op, Relu)
        for element in range(n_elements(node))
    ]
    number, element = (np.tile(part, (batch, 1)) for part in np.array(pairs).T)
    return number, element


def uneven_net(rng: Rng) -> Network:
    """Layers of 3, 7 and 2 rectifiers."""
    build, x = start(2)
    for width in (3, 7, 2):
        x = apply(build, "Relu", layer(build, rng, x, width))
    return simplify(finish(build, layer(build, rng, x, 2), 2))


@pytest.mark.parametrize("seed", range(5))
def test_candidates_of_uneven_layers_score_as_they_do_alone(seed: int) -> None:
    """Elements are numbered within their own layer, and the order of the candidates does not matter."""
    rng = np.random.default_rng(seed)
    network, forms, row, box = seen(uneven_net(rng), rng)
    number, element = every_neuron(network)
    scores = look_ahead(network, forms, row, box, number, element)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    for k in range(number.shape[1]):
        alone = look_ahead(network, forms, row, box, number[:, [k]], element[:, [k]])
        np.testing.assert_allclose(alone[:, 0], scores[:, k], rtol=1e-12)
    order = rng.permuted(np.tile(np.arange(number.shape[1]), (3, 1)), axis=1)
    mixed = look_ahead(
        network, forms, row, box, *(np.take_along_axis(part, order, axis=1) for part in (number, element))
    )
    np.testing.assert_allclose(mixed, np.take_along_axis(scores, order, axis=1), rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_candidates_without_a_form_score_nothing(seed: int) -> None:
    """Neurons that were stable at the root, and layers whose forms were too large; all others score something."""
    rng = np.random.default_rng(seed)
    network, forms, row, box = seen(uneven_net(rng), rng)
    number, element = every_neuron(network)
    first = network.nonlinear[0].inputs[0]
    fewer = {name: form for name, form in forms.items() if name != first}
    assert (look_ahead(network, {}, row, box, number, element) == 0.0).all()
    before, after = (look_ahead(network, f, row, box, number, element) for f in (forms, fewer))
    assert (after[number == 0] == 0.0).all()
    np.testing.assert_array_equal(after[number != 0], before[number != 0])
    has = np.zeros(number.shape, dtype=bool)
    for n, node in enumerate(network.nonlinear):
        if node.inputs[0] in forms:
            mine = number == n
            has[mine] = forms[node.inputs[0]].place[element[mine]] >= 0
    assert (before[~has] == 0.0).all()
    assert (before[has] >= LEAST_GAIN**2).all()


@pytest.mark.parametrize(("offset", "score"), [(0.1, 1.0), (-0.5, 0.25)])
def test_the_score_is_the_product_of_the_shares_that_are_won(offset: float, score: float) -> None:
    """relu(x) - x / 2 is at least -1/2 on [-1, 1] with slope 0, and at least 0 on either half; 1 closes both."""
    build, x = start(1)
    network = finish(build, apply(build, "Relu", dense(build, x, np.eye(1), np.zeros(1))), 1)
    box = Interval(-np.ones((1, 1)), np.ones((1, 1)))
    relaxed = intermediate_bounds(network, box)
    forms = hidden_forms(relaxed, [network.nonlinear[0].inputs[0]], 2**24)
    name, zero = network.nonlinear[0].name, np.zeros((1, 1), dtype=int)
    assert (relaxed.planes[name].lower_slopes[0] == 0.0).all()
    weights = {name: np.ones((1, 1))}
    row = Row(np.full((1, 1), -0.5), np.full(1, offset - 0.5), weights, relaxed.planes, zero[0], zero[0])
    np.testing.assert_allclose(look_ahead(network, forms, row, box, zero, zero), score, rtol=1e-9)


@pytest.mark.parametrize("kind", ["leaky", "bent back", "steep", "clipped", "residual", "max pool"])
@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_rectifier_can_be_ranked(kind: str, seed: int) -> None:
    """Finite scores between 0 and 1, whatever the slope below zero and however the layers are connected."""
    rng = np.random.default_rng(seed)
    network, forms, row, box = seen(simplify(PLANAR_KINDS[kind](rng)), rng)
    scores = look_ahead(network, forms, row, box, *every_neuron(network))
    assert ((scores >= 0.0) & (scores <= 1.0)).all()


def test_other_activations_of_a_value_that_has_a_form_score_nothing() -> None:
    """Rankings are filled up with node 0 where candidates are few, and node 0 may be a sigmoid of such a value."""
    rng = np.random.default_rng(0)
    build, x = start(2)
    value = layer(build, rng, x, 3)
    both = add(build, apply(build, "Sigmoid", value), apply(build, "Relu", value), 1)
    network, forms, row, box = seen(simplify(finish(build, layer(build, rng, both, 2), 2)), rng)
    assert not isinstance(network.nonlinear[0].op, Relu)
    element = np.zeros((3, 1), dtype=int) + np.flatnonzero(next(iter(forms.values())).place >= 0)[0]
    assert (look_ahead(network, forms, row, box, np.zeros((3, 1), dtype=int), element) == 0.0).all()
