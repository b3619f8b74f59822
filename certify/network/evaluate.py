"""Concrete evaluation and gradients of a network, batched over points."""

from __future__ import annotations

from certify.arrays import Array
from certify.network.graph import INPUT, Network


def evaluate(network: Network, x: Array) -> Array:
    """Outputs [points, n_outputs] for inputs [points, n_inputs]."""
    return _run(network, x, keep=False)[network.output]


def values(network: Network, x: Array) -> dict[str, Array]:
    """Every value of the network, [points, *shape] each, for inputs [points, n_inputs]."""
    return _run(network, x, keep=True)


def _run(network: Network, x: Array, keep: bool) -> dict[str, Array]:
    found = {INPUT: x}
    waiting = {name: len(readers) for name, readers in network.consumers.items()}
    for node in network.nodes:
        found[node.name] = node.op.forward(*(found[name] for name in node.inputs))
        for name in set(node.inputs):
            waiting[name] -= 1
            if not keep and waiting[name] == 0 and name != network.output:
                del found[name]
    return found


def gradient(network: Network, found: dict[str, Array], weight: Array, *, surrogate: bool = False) -> Array:
    """Gradient of weight . output at the input, [points, n_inputs].

    found: every value, from `values`; weight: [points, n_outputs]. Reverse mode, one pass over the ops' adjoints.
    surrogate: for an attack, with what the ops have in place of a derivative that says nothing.
    """
    grads = {network.output: weight}
    for node in reversed(network.nodes):
        grad = grads.pop(node.name, None)
        if grad is None:
            continue
        pull = node.op.descent if surrogate else node.op.vjp
        parts = pull(grad, *(found[name] for name in node.inputs))
        for name, part in zip(node.inputs, parts, strict=True):
            grads[name] = grads[name] + part if name in grads else part
    if INPUT in grads:
        return grads[INPUT]
    return 0.0 * found[INPUT]
