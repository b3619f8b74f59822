"""RNN, GRU and LSTM, unrolled over their (static) sequence: matrices, Sigmoid, Tanh or Relu, and products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from certify.ops.arithmetic import add, multiply, scale
from certify.ops.dense import dense
from certify.ops.kinds import Elementwise
from certify.ops.layout import reshape
from certify.ops.registry import Builder, Example, NodeSpec, Operand, Value, register
from certify.ops.relu import Relu
from certify.ops.s_shaped import Sigmoid, Tanh
from certify.ops.select import concat, take

ACTIVATIONS: dict[str, type[Elementwise]] = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": Relu}
HANDLED = "unrolled: planes of Sigmoid and Tanh, McCormick planes of the gates"
State = tuple[Value, ...]


def combined(build: Builder, a: Operand, b: Operand) -> Operand:
    """A + b, either of which may be constant."""
    if isinstance(a, Value) and isinstance(b, Value):
        return add(build, a, b)
    if isinstance(a, Value):
        return scale(build, a, None, b)
    return scale(build, b, None, a) if isinstance(b, Value) else np.asarray(a) + np.asarray(b)


def product(build: Builder, a: Value, b: Operand) -> Value:
    """A * b."""
    return multiply(build, a, b) if isinstance(b, Value) else scale(build, a, b)


def affine(build: Builder, x: Operand, weight: np.ndarray, shift: np.ndarray) -> Operand:
    """Weight x + shift for x [batch, n]."""
    return dense(build, x, weight, shift) if isinstance(x, Value) else np.asarray(x) @ weight.T + shift


class Cell:
    """What the three kinds share: weights of one direction, and activations."""

    def __init__(self, node: NodeSpec, build: Builder, direction: int, gates: int, defaults: tuple[str, ...]) -> None:
        """gates: how many parts the weights have; defaults: the names of the activations."""
        self.build, self.hidden = build, int(node.attributes["hidden_size"])
        self.weight, self.recurrent = (np.asarray(node.constant(i), np.float64)[direction] for i in (1, 2))
        shift = node.constant(3)
        both = np.zeros(2 * gates * self.hidden) if shift is None else np.asarray(shift, np.float64)[direction]
        self.shift, self.recurrent_shift = both[: gates * self.hidden], both[gates * self.hidden :]
        named = [str(name).lower() for name in node.attributes.get("activations", ())]
        names = named[direction * len(defaults) : (direction + 1) * len(defaults)] or list(defaults)
        if any(name not in ACTIVATIONS for name in names) or node.attributes.get("clip"):
            raise node.unsupported(f"activations {names} or a clip are not supported")
        self.activations = [ACTIVATIONS[name] for name in names]

    def bent(self, which: int, x: Operand) -> Value:
        """An activation of x."""
        assert isinstance(x, Value)
        return self.build.emit(self.activations[which]((x.shape,), x.shape), x)

    def part(self, x: Operand, gate: int) -> Operand:
        """The elements of one gate, of [batch, gates * hidden]."""
        place = np.arange(gate * self.hidden, (gate + 1) * self.hidden)
        return take(self.build, x, 1, place) if isinstance(x, Value) else np.asarray(x)[:, place]

    def gates(self, x: Value, h: Operand) -> Operand:
        """All gates before their activations, [batch, gates * hidden]."""
        fed = affine(self.build, x, self.weight, self.shift + self.recurrent_shift)
        return combined(self.build, fed, affine(self.build, h, self.recurrent, np.zeros(len(self.recurrent))))


def rnn_step(cell: Cell, x: Value, state: tuple[Operand, ...]) -> State:
    """h' = f(W x + R h + b)."""
    return (cell.bent(0, cell.gates(x, state[0])),)


def lstm_step(cell: Cell, x: Value, state: tuple[Operand, ...]) -> State:
    """Gates in the order input, output, forget, cell."""
    h, c = state
    gates = cell.gates(x, h)
    opened, shown, kept = (cell.bent(0, cell.part(gates, i)) for i in range(3))
    fresh = multiply(cell.build, opened, cell.bent(1, cell.part(gates, 3)))
    memory = add(cell.build, fresh, product(cell.build, kept, c))
    return multiply(cell.build, shown, cell.bent(2, memory)), memory


def gru_step(linear_before_reset: bool) -> Callable[[Cell, Value, tuple[Operand, ...]], State]:
    """Gates in the order update, reset, hidden."""

    def step(cell: Cell, x: Value, state: tuple[Operand, ...]) -> State:
        (h,) = state
        build, n = cell.build, cell.hidden
        fed = affine(build, x, cell.weight, cell.shift)
        back = affine(build, h, cell.recurrent[: 2 * n], cell.recurrent_shift[: 2 * n])
        update, reset = (cell.bent(0, combined(build, cell.part(fed, i), cell.part(back, i))) for i in range(2))
        last, shift = cell.recurrent[2 * n :], cell.recurrent_shift[2 * n :]
        if linear_before_reset:
            remembered: Operand = product(build, reset, affine(build, h, last, shift))
        else:
            remembered = affine(build, product(build, reset, h), last, shift)
        proposed = cell.bent(1, combined(build, cell.part(fed, 2), remembered))
        stays = product(build, update, h)
        changes = multiply(build, scale(build, update, -np.ones(()), np.ones(())), proposed)
        return (add(build, changes, stays),)

    return step


def unrolled(
    node: NodeSpec,
    build: Builder,
    gates: int,
    defaults: tuple[str, ...],
    states: int,
    step: Callable[[Cell, Value, tuple[Operand, ...]], State],
) -> tuple[Value, ...]:
    """The outputs Y [steps, directions, batch, hidden] and the last states [directions, batch, hidden]."""
    x = node.variable()
    if node.attributes.get("layout", 0) or node.operand(7) is not None or node.attributes.get("input_forget", 0):
        raise node.unsupported("layout 1, peepholes and coupled gates are not supported")
    steps, batch, hidden = x.shape[0], x.shape[1], int(node.attributes["hidden_size"])
    lengths = node.constant(4)
    if lengths is not None and (np.asarray(lengths) != steps).any():
        raise node.unsupported("sequences shorter than the tensor")
    directions = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    sequences, ends = [], []
    for direction, backwards in enumerate(directions[str(node.attributes.get("direction", "forward"))]):
        cell = Cell(node, build, direction, gates, defaults)
        state: tuple[Operand, ...] = tuple(
            _initial(node, build, 5 + i, direction, (batch, hidden)) for i in range(states)
        )
        shown = []
        for t in range(steps)[:: -1 if backwards else 1]:
            now = reshape(build, take(build, x, 0, np.arange(t, t + 1)), x.shape[1:])
            state = step(cell, now, state)
            shown.append(_lifted(build, state[0], 2))
        sequences.append(concat(build, tuple(shown[:: -1 if backwards else 1]), 0))
        ends.append(tuple(_lifted(build, value, 1) for value in state))
    last = (concat(build, tuple(end[i] for end in ends), 0) for i in range(states))
    return concat(build, tuple(sequences), 1), *last


def _lifted(build: Builder, x: Operand, axes: int) -> Value:
    """With axes of length 1 in front."""
    assert isinstance(x, Value)
    return reshape(build, x, (*(1,) * axes, *x.shape))


def _initial(node: NodeSpec, build: Builder, position: int, direction: int, shape: tuple[int, int]) -> Operand:
    """The state before the first step."""
    given = node.operand(position)
    if given is None:
        return np.zeros(shape)
    if isinstance(given, Value):
        return reshape(build, take(build, given, 0, np.arange(direction, direction + 1)), shape)
    return np.asarray(given, np.float64)[direction]


def _examples(gates: int, states: int, **attributes: object) -> list[Example]:
    def weights(*shape: int) -> np.ndarray:
        return np.sin(1.0 + np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)

    one = [weights(1, 2 * gates, 3), weights(1, 2 * gates, 2), weights(1, 4 * gates)]
    two = [weights(2, 2 * gates, 3), weights(2, 2 * gates, 2), weights(2, 4 * gates)]
    start = [np.array([2], np.int32), *(weights(1, 1, 2) for _ in range(states))]
    settings = {"hidden_size": 2, **attributes}
    return [
        Example([(2, 1, 3), *one[:2]], settings, n_outputs=1 + states),
        Example([(2, 1, 3), *one, *start], {"direction": "reverse", **settings}, n_outputs=1 + states),
        Example([(2, 1, 3), *two], {"direction": "bidirectional", **settings}, n_outputs=1 + states),
        Example([(2, 2, 3), *one, np.array([2, 2], np.int32), (1, 2, 2)], settings),
    ]


@register("RNN", handled="unrolled: planes of the activation", examples=lambda: _examples(1, 1))
def rnn(node: NodeSpec, build: Builder) -> tuple[Value, ...]:
    """RNN with constant weights."""
    return unrolled(node, build, 1, ("tanh",), 1, rnn_step)


@register("GRU", handled=HANDLED, examples=lambda: [*_examples(3, 1), *_examples(3, 1, linear_before_reset=1)])
def gru(node: NodeSpec, build: Builder) -> tuple[Value, ...]:
    """GRU with constant weights."""
    return unrolled(
        node, build, 3, ("sigmoid", "tanh"), 1, gru_step(bool(node.attributes.get("linear_before_reset", 0)))
    )


@register("LSTM", handled=HANDLED, examples=lambda: _examples(4, 2))
def lstm(node: NodeSpec, build: Builder) -> tuple[Value, ...]:
    """LSTM with constant weights."""
    return unrolled(node, build, 4, ("sigmoid", "tanh", "tanh"), 2, lstm_step)
