"""Which rectifier to split: the one whose two halves, each seen as the box cut by one more halfspace, gain most.

Fixing the sign of z swaps the plane that a row  a . x + c  used for relu(z) and adds a multiple of z with a free
multiplier; both move the row along the linear bound  G . x + b  of z. What a child can reach is therefore at least

    max over t of  min over the box of  (a + t G) . x + c + t b

with t on a half-line that the plane's swap shifts: a concave function of one variable, solved exactly (`bounds.clip`).
A filter ranks cheaper; this closed form ranks the filtered few (compare FSB, De Palma et al. 2021, which bounds the
children with a walk each but does not see the new constraint at all).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import to_numpy
from certify.bounds.clip import best_multiplier
from certify.bounds.interval import Interval
from certify.network.graph import Network
from certify.ops.kinds import Planes
from certify.ops.relu import Relu
from certify.search.hidden_forms import HiddenForm
from certify.search.signs import places

# A gain below this share of what is missing counts as this much: one good child is worth more than two poor ones.
LEAST_GAIN = 1e-3


@dataclass(frozen=True)
class Row:
    """One row of each domain: its form a . x + c over the box [B, n], its bound [B], and what it was made from.

    weights: by node, [B, elements] its coefficient at the node's output. planes: by node, those it chose from, with the
    batch and rows of the walk; place, row: [B] where each domain and its row stand in them.
    """

    a: np.ndarray
    bound: np.ndarray
    weights: dict[str, np.ndarray]
    planes: dict[str, Planes]
    place: np.ndarray
    row: np.ndarray


def look_ahead(
    network: Network, forms: dict[str, HiddenForm], row: Row, box: Interval, number: np.ndarray, element: np.ndarray
) -> np.ndarray:
    """Scores [B, K] of splitting each candidate: flat `element` [B, K] of place `number` [B, K]; all are rectifiers.

    The product of both children's gains, each no more than closes the child; candidates without a form score 0.
    """
    scores = np.zeros(number.shape)
    missing = np.maximum(-row.bound, 1e-300)
    for n in sorted(set(number.flat)):
        node = places(network)[n].node
        form = forms.get(node.inputs[0])
        if form is None or not isinstance(node.op, Relu):
            continue
        domain, candidate = np.nonzero(number == n)
        has = form.place[element[domain, candidate]] >= 0
        if not has.any():
            continue
        domain, candidate = domain[has], candidate[has]
        where = element[domain, candidate]
        pair = _Pairs(form, where, row.a[domain], box.center[domain], box.radius[domain])
        weight = row.weights[node.name][domain, where]
        slope, offset = _plane(row.planes[node.name], weight, row.place[domain], row.row[domain], where)
        gain_on, gain_off = pair.gains(weight * (1.0 - slope), weight * (node.op.negative_slope - slope))
        gains = [np.clip((gain - weight * offset) / missing[domain], LEAST_GAIN, 1.0) for gain in (gain_on, gain_off)]
        scores[domain, candidate] = gains[0] * gains[1]
    return scores


def _plane(
    planes: Planes, weight: np.ndarray, domain: np.ndarray, row: np.ndarray, element: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(slope, offset) of the plane that the weight's sign picked, for each pair."""
    up = weight >= 0.0
    low, high = (_at(part[0], domain, row, element) for part in (planes.lower_slopes, planes.upper_slopes))
    zero = np.zeros(len(weight))
    low_bias, high_bias = (
        zero if bias is None else _at(bias, domain, row, element) for bias in (planes.lower_bias, planes.upper_bias)
    )
    return np.where(up, low, high), np.where(up, low_bias, high_bias)


def _at(array: np.ndarray, domain: np.ndarray, row: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Entries of an array broadcastable to [batch, rows, *shape]."""
    array = to_numpy(array)
    flat = array.reshape(array.shape[0], array.shape[1], -1)
    first, second, third = (np.minimum(i, n - 1) for i, n in zip((domain, row, element), flat.shape, strict=True))
    return flat[first, second, third]


class _Pairs:
    """(domain, neuron) pairs: the domain's row a . x moved along the neuron's lower and upper form."""

    def __init__(self, form: HiddenForm, elements: np.ndarray, a: np.ndarray, center: np.ndarray, radius: np.ndarray):
        self.a, self.center, self.radius = a, center, radius
        # Forwards, t > 0, the value is bounded from below; backwards through minus the value's lower bound.
        self.sides = [form.side(elements, upper) for upper in (False, True)]
        self.best = [best_multiplier(a, g, b, center, radius) for g, b in self.sides]

    def gain(self, side: int, t: np.ndarray) -> np.ndarray:
        """How much the row's bound changes when it is moved by t >= 0 along a side; inf where t is."""
        g, b = self.sides[side]
        finite = np.where(np.isfinite(t), t, 0.0)
        moved = self.a + finite[:, None] * g
        constant = (g * self.center).sum(axis=1) + b
        change = finite * constant - ((abs(moved) - abs(self.a)) * self.radius).sum(axis=1)
        return np.where(np.isfinite(t), change, np.inf)

    def gains(self, most: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gains of the active half, t <= most, and of the inactive one, t >= least; most - least is the weight."""
        forwards, backwards = self.best
        on = np.where(
            most < 0.0,
            self.gain(1, np.maximum(backwards, -most)),
            np.maximum(self.gain(1, backwards), self.gain(0, np.minimum(forwards, np.maximum(most, 0.0)))),
        )
        off = np.where(
            least > 0.0,
            self.gain(0, np.maximum(forwards, least)),
            np.maximum(self.gain(0, forwards), self.gain(1, np.minimum(backwards, np.maximum(-least, 0.0)))),
        )
        return on, off
