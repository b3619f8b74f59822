"""A network in the hands of auto_LiRPA (Xu et al. 2020), whose answers are checked before anybody sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from certify.backends.auto_lirpa_slack import slack_of_crown, slack_of_intervals
from certify.errors import NumericalError
from certify.network.evaluate import evaluate
from certify.network.graph import INPUT, Network, Node
from certify.ops.arithmetic import Add
from certify.ops.conv import Conv
from certify.ops.dense import Dense
from certify.ops.layout import Reshape
from certify.ops.relu import Relu

INSTALL = "pip install --no-deps auto-lirpa==0.3 && pip install appdirs pyyaml tqdm packaging"
# Our name of each method, and the library's.
METHODS = {"ibp": "IBP", "crown": "CROWN", "alpha-crown": "CROWN-Optimized"}
# How the library may work, in the order in which it is tried; the next one where one fails. "patches" handles images
# several times faster than "matrix" (see `passes_patches`). Sparsity 1 tightens exactly the elements that intervals are
# undecided about; 0.3 crashes between its default, 0.9, and all of them. On some graphs it also mixes up sparse and
# full slopes, which the last mode, slow and loose, avoids.
MODES: tuple[dict[str, Any], ...] = (
    {"conv_mode": "patches", "minimum_sparsity": 1.0},
    {"conv_mode": "matrix", "minimum_sparsity": 1.0},
    {
        "conv_mode": "matrix",
        "sparse_intermediate_bounds": False,
        "sparse_features_alpha": False,
        "sparse_spec_alpha": False,
    },
)
# How far bounds may contradict each other or a value, relative to 1 + their size, and still be called rounding.
TOLERANCE = 1e-9
RANDOM_POINTS = 5

Answer = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


@dataclass(frozen=True)
class Found:
    """Bounds of rows on a box. lower, upper: [rows] (upper is infinite where it was not computed); slack: [rows] what
    rounding may have added to lower; points: [k, n_inputs] where CROWN's lower ones would be attained.
    """

    lower: np.ndarray
    upper: np.ndarray
    slack: np.ndarray
    points: np.ndarray

    @property
    def sure(self) -> np.ndarray:
        """Lower bounds with rounding taken off: [rows]."""
        return self.lower - self.slack


@dataclass(frozen=True)
class Question:
    """Which bounds are wanted.

    lower, upper: [n_inputs] the box; rows: [rows, n_outputs + number of passed inputs]; method: a key of METHODS;
    slack: [rows] see `BoundedNetwork.slack`; steps: of alpha-CROWN, until stop(lower bounds less slack) is true.
    """

    lower: np.ndarray
    upper: np.ndarray
    rows: np.ndarray
    method: str
    slack: np.ndarray
    steps: int = 20
    stop: Callable[[np.ndarray], bool] = lambda sure: False


class BoundedNetwork:
    """Bounds of rows over a network's outputs, followed by those inputs whose numbers are in `passed`."""

    def __init__(self, network: Network, passed: np.ndarray, points: np.ndarray) -> None:
        """points: [k, n_inputs], where every translation is compared with our own evaluation.

        Raises UnsupportedOp, ParityError, or BackendError if the library does not load.
        """
        self.network, self.passed, self.points = network, passed, points
        self.modes = MODES if passes_patches(network) else MODES[1:]
        self._module: Any = None
        self.translate()

    def translate(self) -> None:
        """Network to torch to auto_LiRPA, and a comparison with our own evaluation at either step."""
        from certify.backends import auto_lirpa_shims as shims
        from certify.backends.torch_module import Graph, check_parity

        library = shims.load()
        with shims.working():
            import torch

            graph = Graph(self.network, self.passed).eval()
            check_parity(self.network, self.passed, graph, self.points)
            one = torch.zeros(1, self.network.n_inputs)
            module = library.BoundedModule(graph, one, bound_opts=dict(self.modes[0]), device="cpu")
            module.eval()
            check_parity(self.network, self.passed, module, self.points)
        self._module = module

    def slack(self, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray, method: str) -> np.ndarray:
        """What float64 may have added to the bounds of these rows on this box by this method: [rows].

        Raises NumericalError where our own bounds break down.
        """
        from certify.backends import auto_lirpa_shims as shims

        estimate = slack_of_intervals if method == "ibp" else slack_of_crown
        with shims.working():
            return estimate(self.network, self.passed, lower, upper, rows)

    def bound(self, question: Question) -> Found:
        """Bounds of rows on a box. Raises NumericalError if the answer cannot be right, or what the library raises."""
        try:
            return self._answer(question)
        except Exception as error:  # noqa: BLE001 - a library: whatever it raises in one mode, the next may do
            if len(self.modes) == 1 or isinstance(error, MemoryError):
                raise
            self.modes = self.modes[1:]
            return self.bound(question)

    def _answer(self, question: Question) -> Found:
        if self._module is None:
            self.translate()
        module, self._module = self._module, None
        try:
            answer = ask(module, question)
        except RuntimeError as error:
            if "does not require grad" not in str(error):
                raise
            # No slope is free on this box, so that there is nothing to optimise.
            return self._answer(replace(question, method="crown"))
        found = _checked(answer, question)
        _check_nodes(module, tables=question.method != "ibp")
        self._check_samples(found, question)
        # Only now: what went wrong may have left the module in any state, and it is made anew for the next question.
        self._module = module
        return found

    def _check_samples(self, found: Found, question: Question) -> None:
        """Raise NumericalError if a value that is attained contradicts the bounds."""
        x = np.vstack([sample(question.lower, question.upper), found.points])
        values = np.concatenate([evaluate(self.network, x), x[:, self.passed]], axis=1) @ question.rows.T
        rounding = found.slack + TOLERANCE * (1.0 + abs(values))
        if not ((found.lower - rounding <= values) & (values <= found.upper + rounding)).all():
            raise NumericalError("auto_LiRPA's bounds exclude a value that is attained")


def passes_patches(network: Network) -> bool:
    """Whether the network has convolutions and is otherwise such as the library's patches can take.

    0.3's patches take every image for a square, and every sum for one of images; where all is as they expect, they give
    the same bounds as matrices.
    """
    return any(isinstance(node.op, Conv) for node in network.nodes) and all(_is_plain(node) for node in network.nodes)


def _is_plain(node: Node) -> bool:
    """Whether 0.3's patches can pass through: a matrix on vectors, a convolution, ReLU or sum of square images."""
    op, shape = node.op, node.op.out_shape
    if len(shape) == 4 and not (shape[0] == 1 and shape[2] == shape[3]):
        return False
    if isinstance(op, Reshape):
        return len(shape) != 4 or node.inputs == (INPUT,)
    if isinstance(op, Add):
        return len(shape) == 4 and all(s == shape for s in op.in_shapes)
    if isinstance(op, Dense):
        return int(np.prod(shape)) == shape[-1]
    return (isinstance(op, Conv) and len(shape) == 4) or (isinstance(op, Relu) and op.negative_slope == 0.0)


def sample(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Centre, the two extreme corners and some random points of the box: [k, n_inputs]."""
    inside = np.random.default_rng(0).uniform(lower, upper, size=(RANDOM_POINTS, len(lower)))
    return np.vstack([(lower + upper) / 2.0, lower, upper, np.clip(inside, lower, upper)])


def ask(module: Any, question: Question) -> Answer:
    """What the library says: lower bounds, upper bounds unless optimised, CROWN's coefficients of the inputs."""
    from certify.backends import auto_lirpa_shims as shims

    with shims.working():
        import torch

        library = shims.load()
        low, high, spec = (torch.from_numpy(np.array(a[None])) for a in (question.lower, question.upper, question.rows))
        norm = library.PerturbationLpNorm(norm=np.inf, x_L=low, x_U=high)
        inputs = (library.BoundedTensor((low + high) / 2.0, norm),)
        call: dict[str, Any] = {"x": inputs, "C": spec, "method": METHODS[question.method]}
        if question.method == "alpha-crown":

            def criterion(lower: Any) -> Any:
                return torch.tensor([[question.stop(_numpy(lower)[0] - question.slack)]])

            options = {"iteration": question.steps, "stop_criterion_func": criterion}
            module.set_bound_opts({"optimize_bound_args": options})
            return _numpy(module.compute_bounds(**call, bound_upper=False)[0]), None, None
        with torch.no_grad():
            if question.method == "ibp":
                lower, upper = module.compute_bounds(**call)
                return _numpy(lower), _numpy(upper), None
            output, source = module.output_name[0], module.input_name[0]
            lower, upper, forms = module.compute_bounds(**call, return_A=True, needed_A_dict={output: {source}})
        return _numpy(lower), _numpy(upper), _numpy(forms[output][source]["lA"])


def _numpy(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float64)


def _checked(answer: Answer, question: Question) -> Found:
    """The answer, if it is finite and has not crossed; else NumericalError."""
    count, slack = len(question.rows), question.slack
    lower = answer[0].reshape(count)
    upper = np.full(count, np.inf) if answer[1] is None else answer[1].reshape(count)
    finite = np.isfinite(lower).all() and np.isfinite(slack).all() and (answer[1] is None or np.isfinite(upper).all())
    if not finite or not (lower <= upper + slack + TOLERANCE * (1.0 + abs(lower))).all():
        raise NumericalError("auto_LiRPA's bounds are NaN, infinite or have crossed")
    points = np.empty((0, len(question.lower)))
    if answer[2] is not None:
        points = np.where(answer[2].reshape(count, -1) >= 0.0, question.lower, question.upper)
    return Found(lower, upper, slack, points)


def _check_nodes(module: Any, tables: bool) -> None:
    """Look at the bounds of every hidden value: NumericalError if they are NaN, infinite or have crossed.

    tables: S-shaped functions were relaxed with the library's tables, which end at x_limit; their lines beyond it are
    no bounds, and NumericalError is raised there too.
    """
    import torch

    for node in module._modules.values():
        low, high = getattr(node, "lower", None), getattr(node, "upper", None)
        if not isinstance(low, torch.Tensor) or not isinstance(high, torch.Tensor) or not low.is_floating_point():
            continue
        fine = (low.isfinite() & high.isfinite() & (low <= high + TOLERANCE * (1.0 + low.abs()))).all()
        if not bool(fine):
            raise NumericalError(f"auto_LiRPA's bounds of {node.name} are NaN, infinite or have crossed")
        limits = [module[name].x_limit for name in node.output_name if hasattr(module[name], "x_limit")]
        if tables and limits and not bool((low.abs() <= min(limits)).all() & (high.abs() <= min(limits)).all()):
            raise NumericalError(f"the values of {node.name} go beyond auto_LiRPA's tables")
