"""The checks themselves: rules that are wrong on purpose, and only a little, must fail the check that guards them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import linear_checks
import numpy as np
import pytest
import relaxation_checks as checks
from interval_cases import MODERATE, bounds_for

from certify.arrays import Array, Library
from certify.ops.arithmetic import Add
from certify.ops.conv import Conv
from certify.ops.conv_transpose import ConvTranspose
from certify.ops.curve import Curve, CurveRelaxation, Stretch, UpperLine
from certify.ops.dense import Dense
from certify.ops.exponential import Exp
from certify.ops.gelu import Gelu
from certify.ops.jumps import Ceil, Floor, IsZero, Round, Sign, Step, Truncate
from certify.ops.kinds import Linear, Nonlinear, Planes, Relaxation
from certify.ops.power import Power
from certify.ops.product import McCormick, Product
from certify.ops.reciprocal import Reciprocal
from certify.ops.relu import Relu
from certify.ops.s_shaped import Atan, Tanh
from certify.ops.scale import ScaleShift
from certify.ops.select import Take, ZeroPad
from certify.ops.softmax import LogOfSum, LogPlanes, Share, SharePlanes
from certify.ops.staircase import Corner, Staircase
from certify.ops.wave import Sin

ONE = ((1,),)
WEIGHT = np.sin(np.arange(24.0)).reshape(3, 2, 2, 2)
STRIDED = Conv(((1, 2, 5, 5),), (1, 3, 2, 2), WEIGHT, np.ones(3), (2, 2), (0, 0), (0, 0), (1, 1))
CLOSE = Conv(((1, 2, 5, 5),), (1, 3, 4, 4), WEIGHT, np.ones(3), (1, 1), (0, 0), (0, 0), (1, 1))


class DroppedStride(Conv):
    def adjoint(self, y: Array) -> tuple[Array, ...]:
        full = np.zeros((*y.shape[:-2], 4, 4))
        full[..., :2, :2] = y
        return CLOSE.adjoint(full)


class DroppedPadding(ConvTranspose):
    def adjoint(self, y: Array) -> tuple[Array, ...]:
        return (np.roll(super().adjoint(y)[0], 1, axis=-1),)


class SignedKernel(ConvTranspose):
    def absolute(self) -> ConvTranspose:
        return replace(self, shift=None)


class UnsignedAdjoint(Add):
    def adjoint(self, y: Array) -> tuple[Array, ...]:
        return self.absolute().adjoint(y)


class SignedAbsolute(Add):
    def absolute(self) -> Add:
        return self


class BiasInAbsolute(Dense):
    def absolute(self) -> Dense:
        return replace(self, weight=abs(self.weight))


class TransposedRows(Dense):
    def rows(self, index: np.ndarray, library: Library) -> tuple[Array, ...]:
        return (self.weight.T[index],)


class ForgottenRepeats(Take):
    def adjoint(self, y: Array) -> tuple[Array, ...]:
        x = np.zeros((*y.shape[:-1], *self.in_shapes[0]))
        x[..., self.index] = y
        return (x,)


class MixedSlices(ScaleShift):
    def linear(self, *xs: Array) -> Array:
        return xs[0] + 0.0 * xs[0] if xs[0].ndim < 2 else xs[0][::-1]


class CropOneOff(ZeroPad):
    def adjoint(self, y: Array) -> tuple[Array, ...]:
        return (np.roll(y, 1, axis=-1)[self._inside],)


class FewTerms(Dense):
    @property
    def terms(self) -> int:
        return 2


TRANSPOSED = (((1, 3, 2, 2),), (1, 2, 4, 4), WEIGHT, np.ones(2), (2, 2), (0, 0), (0, 0), (1, 1))
DIFFERENCE = (((3,), (3,)), (3,), (1, -1))
SQUARE = (((3,),), (3,), np.arange(9.0).reshape(3, 3) - 4.0, np.ones(3))

WRONG_LINEAR: list[tuple[str, Linear, Callable[..., None]]] = [
    ("a convolution's adjoint without its stride", DroppedStride(**vars(STRIDED)), linear_checks.check_adjoint),
    ("a transposed convolution's adjoint one pixel off", DroppedPadding(*TRANSPOSED), linear_checks.check_adjoint),
    ("a transposed convolution's kernel with signs", SignedKernel(*TRANSPOSED), linear_checks.check_absolute),
    ("a difference's adjoint without its sign", UnsignedAdjoint(*DIFFERENCE), linear_checks.check_adjoint),
    ("|1, -1| = 1, -1", SignedAbsolute(*DIFFERENCE), linear_checks.check_absolute),
    ("a bias left in |A|", BiasInAbsolute(*SQUARE), linear_checks.check_absolute),
    ("columns for rows", TransposedRows(*SQUARE), linear_checks.check_rows),
    ("elements taken twice counted once", ForgottenRepeats(((3,),), (3,), -1, np.array([0, 0, 2])),
     linear_checks.check_adjoint),
    ("three terms counted as two", FewTerms(*SQUARE), linear_checks.check_terms),
    ("slices that mix", MixedSlices(((3,),), (3,), np.ones(1)), linear_checks.check_leading_axes),
    ("a crop one column off", CropOneOff(((3,),), (5,), (1,)), linear_checks.check_adjoint),
    ("a crop one column off, as matrix", CropOneOff(((3,),), (5,), (1,)), linear_checks.check_matrix),
]  # fmt: skip


def run_linear(check: Callable[..., None], op: Linear) -> None:
    extra = {"library": Library(), "rng": np.random.default_rng(0)}
    check(op, **{name: extra[name] for name in extra if name in check.__annotations__})


@pytest.mark.parametrize(("op", "check"), [w[1:] for w in WRONG_LINEAR], ids=[w[0] for w in WRONG_LINEAR])
def test_wrong_linear_op(op: Linear, check: Callable[..., None]) -> None:
    right = next(kind for kind in type(op).__mro__ if kind.__module__.startswith("certify.ops"))
    run_linear(check, right(**{name: value for name, value in vars(op).items() if name in right.__dataclass_fields__}))
    with pytest.raises(AssertionError):
        run_linear(check, op)


class Spoilt(Relaxation):
    """A relaxation whose planes go through a function."""

    def __init__(self, inner: Relaxation, spoil: Callable[[Planes], Planes]) -> None:
        self.inner, self.spoil = inner, spoil

    def start(self) -> tuple[Array, ...]:
        return self.inner.start()

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        return self.spoil(self.inner.planes(parameters))

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        return self.inner.gradient(parameters, weight, xs)

    def gap(self) -> Array:
        return self.inner.gap()


def spoilt(op: Nonlinear, spoil: Callable[[Planes], Planes]) -> Nonlinear:
    """The op with its planes changed."""

    @dataclass(frozen=True, eq=False)
    class Wrong(type(op)):  # type: ignore[misc]
        def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
            return Spoilt(super().relax(*bounds), spoil)

    return Wrong(**vars(op))


class ShiftedTangents(UpperLine):
    """Tangent points range from 1% too far left."""

    def _choose_tangents(self, start: Array, end: Array) -> None:
        super()._choose_tangents(start, end)
        self.first = np.where(self.first > np.maximum(self.lower, 0.0), 0.99 * self.first, self.first)


class LateChord(UpperLine):
    """The chord is used up to a curve that is 1% steeper than it may be."""

    def _choose_chord(self) -> None:
        super()._choose_chord()
        self.use_chord = self.use_chord | (self.chord_slope <= 1.01 * self.f.derivative(self.upper))


class NoFarEnd(UpperLine):
    """Tangents are not asked to be above the right end."""

    def _above_right(self, t: Array) -> Array:
        return t == t


def lines(op: Curve, kind: type[UpperLine]) -> Nonlinear:
    """The curve with other upper lines."""

    class Changed(CurveRelaxation):
        def __init__(self, f: Curve, lower: Array, upper: Array) -> None:
            super().__init__(f, lower, upper)
            above = self.above
            self.above = kind(f, 1.0, (above.lower, above.upper), above.constant, above.settled)

    @dataclass(frozen=True, eq=False)
    class Wrong(type(op)):  # type: ignore[misc]
        def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
            return Changed(self, *bounds[0])

    return Wrong(**vars(op))


class LateInflection(Gelu):
    hollow = (-1.5, 1.5)


class EarlyTurn(Gelu):
    turn = -0.8


class OneSide(Gelu):
    def concave(self, lower: Array, upper: Array) -> Stretch:
        return Stretch(self.hollow[1], np.inf)


class FarPeak(Sin):
    """The peak to the left of the middle, near or not."""

    def concave(self, lower: Array, upper: Array) -> Stretch:
        center = self.peak + 2.0 * np.pi * np.floor(((lower + upper) / 2.0 - self.peak) / (2.0 * np.pi))
        return Stretch(center - 0.5 * np.pi, center + 0.5 * np.pi)


class AnyPeak(Sin):
    """The nearest peak, however far the interval reaches."""

    def concave(self, lower: Array, upper: Array) -> Stretch:
        center = self.turns(lower, upper)[0]
        return Stretch(center - 0.5 * np.pi, center + 0.5 * np.pi)


class AcrossThePole(Reciprocal):
    def regular(self, lower: Array, upper: Array) -> Array:
        return (lower != 0.0) & (upper != 0.0)


class SteepStairs(Floor):
    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        return low + 1.0, high + 0.01


class CeilLikeFloor(Ceil):
    """Jumps where Floor does."""

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        return low + 1.0, high


class FlatAtan(Atan):
    """A derivative 1 % too small."""

    def derivative(self, x: Array) -> Array:
        return 0.99 * super().derivative(x)


class SwappedEnds(Relu):
    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        return super().interval(*bounds)[::-1]


class NarrowEnds(Tanh):
    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = super().interval(*bounds)
        return low + 1e-12, high


class WideEnds(Tanh):
    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = super().interval(*bounds)
        return low, high + 1e-12


class TwoCorners(Product):
    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        (xl, xu), (yl, yu) = bounds
        return np.minimum(xl * yl, xu * yu), np.maximum(xl * yl, xu * yu)


class SwappedVjp(Product):
    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        return super().vjp(grad, *xs)[::-1]


class NeverInexact(Relu):
    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        return bounds[0][0] > bounds[0][1]


class CutOutside(Relu):
    def split_point(self, lower: Array, upper: Array) -> Array:
        return upper + 1.0


class HalfGradient(McCormick):
    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        lower, upper = super().gradient(parameters, weight, xs)
        return lower, 0.5 * upper


class HalfGradientProduct(Product):
    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        return HalfGradient(*bounds)


class LargeGap(McCormick):
    def gap(self) -> Array:
        return 1.5 * super().gap()


class LargeGapProduct(Product):
    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        return LargeGap(*bounds)


class LowChords(SharePlanes):
    """Chords of exp that are 1% too flat."""

    def __init__(self, *bounds: tuple[Array, Array]) -> None:
        super().__init__(*bounds)
        self.chord_slope = 0.99 * self.chord_slope


class LowChordsShare(Share):
    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        return LowChords(*bounds)


class SteepFall(SharePlanes):
    """The chord of exp(-L) is 1% too steep."""

    def __init__(self, *bounds: tuple[Array, Array]) -> None:
        super().__init__(*bounds)
        self.fall = 1.01 * self.fall


class SteepFallShare(Share):
    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        return SteepFall(*bounds)


class UnturnedTangent(LogPlanes):
    """The gradient forgets that slopes of a softmax sum up."""

    def _bend_of_log(self, p: Array, x: Array) -> Array:
        return 1.01 * super()._bend_of_log(p, x)


class UnturnedLogOfSum(LogOfSum):
    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        return UnturnedTangent(*bounds)


class OpenAtZero(Step):
    """x >= 0 with the interval of x > 0."""

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        return Step(self.in_shapes, self.out_shape).interval(*bounds)


class ZeroIsRare(IsZero):
    """Called exact on intervals that begin at zero."""

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        return super().inexact(*bounds) & (bounds[0][0] < 0.0)


class EvenStairs(Truncate):
    """The stair at zero taken for one as short as the others."""

    def corners(self, low: Array, high: Array) -> tuple[list[Corner], list[Corner]]:
        return Staircase.corners(self, low, high)


class ShortStairAtZero(Truncate):
    """The stair at zero taken to end 1 % before it does."""

    def corners(self, low: Array, high: Array) -> tuple[list[Corner], list[Corner]]:
        (first, (x, y)), (last, (z, w)) = super().corners(low, high)
        return [first, (1.01 * x, y)], [last, (0.99 * z, w)]


class FirstCornerOnly(Floor):
    """As if all were one jump: steep lines, the corners between not looked at."""

    def jumps(self, low: Array, high: Array) -> tuple[Array, Array]:
        return low + 1.0, low + 1.0


class LatePeak(IsZero):
    """The peak is at 0.01 for the lines."""

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        (lower, upper), low_high = bounds[0], self.interval(*bounds)
        planes = super().relax((lower, upper))
        planes.above._corners[0] = (planes.above._corners[0][0] + 0.01, low_high[1][:, None])
        return planes


def _slopes(planes: Planes, lower: float = 1.0, upper: float = 1.0) -> Planes:
    return replace(
        planes,
        lower_slopes=tuple(lower * s for s in planes.lower_slopes),
        upper_slopes=tuple(upper * s for s in planes.upper_slopes),
    )


def _biases(planes: Planes, lower: float = 0.0, upper: float = 0.0) -> Planes:
    return replace(planes, lower_bias=planes.lower_bias + lower, upper_bias=planes.upper_bias + upper)


SHARE, LOG_OF_SUM = Share.of((1,), 2), LogOfSum.of((1,), 2)
STEP, ZERO, STAIRS = Step(ONE, (1,), True), IsZero(ONE, (1,)), Truncate(ONE, (1,))
CUBE = Power(ONE, (1,), 3.0)
GELU, SINE, EXP, FLOOR, ROUND, SIGN = (kind(ONE, (1,)) for kind in (Gelu, Sin, Exp, Floor, Round, Sign))
RELU, TANH, INVERSE, PRODUCT = Relu(ONE, (1,)), Tanh(ONE, (1,)), Reciprocal(ONE, (1,)), Product(ONE * 2, (1,))


def run_gradient(op: Nonlinear) -> None:
    checks.check_relaxation_gradient(op, bounds_for(op, MODERATE), np.random.default_rng(0))


def run_vjp(op: Nonlinear) -> None:
    checks.check_vjp(op, bounds_for(op, MODERATE), np.random.default_rng(0))


WRONG_NONLINEAR: list[tuple[str, Nonlinear, Nonlinear, Callable[[Nonlinear], None]]] = [
    ("a chord 2% too flat", RELU, spoilt(RELU, lambda p: _slopes(p, upper=0.98)), checks.check_sound),
    ("a chord 2% too steep", RELU, spoilt(RELU, lambda p: _slopes(p, upper=1.02)), checks.check_touching),
    (
        "a chord 2% too low",
        RELU,
        spoilt(RELU, lambda p: replace(p, upper_bias=0.98 * p.upper_bias)),
        checks.check_sound,
    ),
    ("a lower slope of up to 1.02", RELU, spoilt(RELU, lambda p: _slopes(p, lower=1.02)), checks.check_sound),
    ("no lower slope of 1", RELU, spoilt(RELU, lambda p: _slopes(p, lower=0.98)), checks.check_exact_where_not_inexact),
    ("ceil that jumps where floor does", Ceil(ONE, (1,)), CeilLikeFloor(ONE, (1,)), checks.check_sound),
    ("an inverse tangent 1% too flat", Atan(ONE, (1,)), FlatAtan(ONE, (1,)), checks.check_sound),
    ("tangents 1% too flat", TANH, spoilt(TANH, lambda p: _slopes(p, upper=0.99)), checks.check_sound),
    ("tangents 1% too steep", TANH, spoilt(TANH, lambda p: _slopes(p, lower=1.01)), checks.check_sound),
    ("lines 1% too high", TANH, spoilt(TANH, lambda p: _biases(p, upper=0.01)), checks.check_touching),
    ("lines 1e-13 too low", TANH, spoilt(TANH, lambda p: _biases(p, upper=-1e-13)), checks.check_sound),
    ("lower lines 1e-13 too high", TANH, spoilt(TANH, lambda p: _biases(p, lower=1e-13)), checks.check_sound),
    ("tangent points 1% too far left", TANH, lines(TANH, ShiftedTangents), checks.check_sound),
    ("a chord where f bends under it", TANH, lines(TANH, LateChord), checks.check_sound),
    ("a tangent 1% too steep", INVERSE, spoilt(INVERSE, lambda p: _slopes(p, lower=1.01)), checks.check_sound),
    ("a chord 1% too flat", INVERSE, spoilt(INVERSE, lambda p: _slopes(p, upper=0.99)), checks.check_touching),
    ("envelope 1e-9 too low", PRODUCT, spoilt(PRODUCT, lambda p: _biases(p, upper=-1e-9)), checks.check_sound),
    ("envelope 1% off", PRODUCT, spoilt(PRODUCT, lambda p: _slopes(p, lower=0.99)), checks.check_sound),
    ("chords under exp", SHARE, LowChordsShare(ONE * 2, (1,)), checks.check_sound),
    ("a chord under exp(-L)", SHARE, SteepFallShare(ONE * 2, (1,)), checks.check_sound),
    ("a share 1e-13 too high", SHARE, spoilt(SHARE, lambda p: _biases(p, lower=1e-13)), checks.check_sound),
    ("a logarithm 1% too steep", LOG_OF_SUM, spoilt(LOG_OF_SUM, lambda p: _slopes(p, lower=1.01)), checks.check_sound),
    (
        "a logarithm 1e-13 too low",
        LOG_OF_SUM,
        spoilt(LOG_OF_SUM, lambda p: _biases(p, upper=-1e-13)),
        checks.check_sound,
    ),
    ("a gradient 1% too large", LOG_OF_SUM, UnturnedLogOfSum(ONE * 2, (1,)), run_gradient),
    ("a step open at zero", STEP, OpenAtZero(ONE, (1,), True), checks.check_interval),
    ("a line beyond a jump", STEP, spoilt(STEP, lambda p: _slopes(p, lower=1.01)), checks.check_sound),
    ("a jump missed by 1e-9", STEP, spoilt(STEP, lambda p: _biases(p, upper=-1e-9)), checks.check_sound),
    ("zero at the end forgotten", ZERO, ZeroIsRare(ONE, (1,)), checks.check_exact_where_not_inexact),
    ("a peak 1% too low", ZERO, spoilt(ZERO, lambda p: _biases(p, upper=-0.01)), checks.check_sound),
    ("stairs of one length", STAIRS, EvenStairs(ONE, (1,)), checks.check_sound),
    ("a stair that ends early", STAIRS, ShortStairAtZero(ONE, (1,)), checks.check_sound),
    ("a peak beside zero", ZERO, LatePeak(ONE, (1,)), checks.check_sound),
    ("two stairs taken for one", FLOOR, FirstCornerOnly(ONE, (1,)), checks.check_sound),
    ("stairs 1e-6 too high", STAIRS, spoilt(STAIRS, lambda p: _biases(p, lower=1e-6)), checks.check_sound),
    ("a hollow that ends too late", GELU, LateInflection(ONE, (1,)), checks.check_sound),
    ("a minimum elsewhere", GELU, EarlyTurn(ONE, (1,)), checks.check_interval),
    ("one concave stretch of two", GELU, OneSide(ONE, (1,)), checks.check_sound),
    ("tangents of Gelu 1% too far left", GELU, lines(GELU, ShiftedTangents), checks.check_sound),
    ("tangents below the far end", SINE, lines(SINE, NoFarEnd), checks.check_sound),
    ("a peak that is not the nearest", SINE, FarPeak(ONE, (1,)), checks.check_sound),
    ("tangents at one of many peaks", SINE, AnyPeak(ONE, (1,)), checks.check_sound),
    ("tangents of exp 1e-9 too steep", EXP, spoilt(EXP, lambda p: _slopes(p, lower=1 + 1e-9)), checks.check_sound),
    ("tangents of a cube 1e-9 too flat", CUBE, spoilt(CUBE, lambda p: _slopes(p, upper=1 - 1e-9)), checks.check_sound),
    ("lines over a pole", INVERSE, AcrossThePole(ONE, (1,)), checks.check_sound),
    ("stairs 1% late", FLOOR, SteepStairs(ONE, (1,)), checks.check_sound),
    ("lines 1% too steep over stairs", ROUND, spoilt(ROUND, lambda p: _slopes(p, upper=1.01)), checks.check_sound),
    ("lines 1% too steep over a jump", SIGN, spoilt(SIGN, lambda p: _slopes(p, lower=1.01)), checks.check_sound),
    ("lines 1e-9 too low over a jump", SIGN, spoilt(SIGN, lambda p: _biases(p, upper=-1e-9)), checks.check_sound),
    ("ends swapped", RELU, SwappedEnds(ONE, (1,)), checks.check_interval),
    ("an interval 1e-12 too narrow", TANH, NarrowEnds(ONE, (1,)), checks.check_interval),
    ("an interval 1e-12 too wide", TANH, WideEnds(ONE, (1,)), checks.check_interval),
    ("a product's interval from two corners", PRODUCT, TwoCorners(ONE * 2, (1,)), checks.check_interval),
    ("inexact called exact", RELU, NeverInexact(ONE, (1,)), checks.check_exact_where_not_inexact),
    ("a cut outside", RELU, CutOutside(ONE, (1,)), checks.check_split_point),
    ("half a gradient", PRODUCT, HalfGradientProduct(ONE * 2, (1,)), run_gradient),
    ("a gap too large", PRODUCT, LargeGapProduct(ONE * 2, (1,)), checks.check_gap),
    ("factors swapped", PRODUCT, SwappedVjp(ONE * 2, (1,)), run_vjp),
]


@pytest.mark.parametrize(("right", "wrong", "check"), [w[1:] for w in WRONG_NONLINEAR],
                         ids=[w[0] for w in WRONG_NONLINEAR])  # fmt: skip
def test_wrong_nonlinear_op(right: Nonlinear, wrong: Nonlinear, check: Callable[[Nonlinear], None]) -> None:
    check(right)
    with pytest.raises(AssertionError):
        check(wrong)
