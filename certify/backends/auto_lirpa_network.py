"""A network in the hands of auto_LiRPA (Xu et al. 2020), whose answers are checked before anybody sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from certify.bounds.interval import Interval
from certify.bounds.linear_form import ROUNDING, LinearForm
from certify.errors import NumericalError
from certify.network.evaluate import evaluate
from certify.network.graph import Network

INSTALL = "pip install --no-deps auto-lirpa==0.3 && pip install appdirs pyyaml tqdm packaging"
# Our name of each method, and the library's.
METHODS = {"ibp": "IBP", "crown": "CROWN", "alpha-crown": "CROWN-Optimized"}
# Matrices rather than patches: 0.3's patches are wrong for images that are not square. Sparsity 1 tightens exactly the
# elements that intervals leave undecided; 0.3 crashes where more than its default, 0.9, of a layer are, but not all.
OPTIONS = {"conv_mode": "matrix", "minimum_sparsity": 1.0}
# How far bounds may contradict each other or a value, relative to 1 + their size, and still be called rounding.
TOLERANCE = 1e-9
RANDOM_POINTS = 5

Stop = Callable[[np.ndarray], bool]


@dataclass(frozen=True)
class Found:
    """Bounds of rows on a box. lower, upper: [rows]; slack: [rows] what rounding may have added to the lower ones;
    points: [k, n_inputs] where the lower ones would be attained, if there are such.
    """

    lower: np.ndarray
    upper: np.ndarray
    slack: np.ndarray
    points: np.ndarray

    @property
    def sure(self) -> np.ndarray:
        """Lower bounds with rounding taken off: [rows]."""
        return self.lower - self.slack


class BoundedNetwork:
    """Bounds of rows over a network's outputs, followed by those inputs whose numbers are in `passed`."""

    def __init__(self, network: Network, passed: np.ndarray, points: np.ndarray, device: str = "cpu") -> None:
        """points: [k, n_inputs], where every translation is compared with our own evaluation.

        Raises UnsupportedOp, ParityError, or BackendError if the library does not load.
        """
        self.network, self.passed, self.points, self.device = network, passed, points, device
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
            one = torch.zeros(1, self.network.n_inputs, device=self.device)
            module = library.BoundedModule(graph, one, bound_opts=OPTIONS, device=self.device)
            module.eval()
            check_parity(self.network, self.passed, module, self.points, self.device)
        self._module = module

    def bound(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        rows: np.ndarray,
        method: str,
        steps: int = 20,
        stop: Stop | None = None,
    ) -> Found:
        """Bounds of rows [rows, n_outputs + len(passed)] on the box lower, upper [n_inputs].

        method: a key of METHODS; steps: of alpha-CROWN, ended early once stop(lower bounds less slack) is true.
        Raises NumericalError for an answer that cannot be right, and whatever the library raises.
        """
        if self._module is None:
            self.translate()
        module, self._module = self._module, None
        found = _ask(module, self.device, Interval(lower[None], upper[None]), rows, method, steps, stop)
        _check_nodes(module)
        self._check_samples(found, lower, upper, rows)
        # Only now: what went wrong may have left the module in any state, and it is made anew for the next question.
        self._module = module
        return found

    def _check_samples(self, found: Found, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray) -> None:
        """Raise NumericalError if a value that is attained contradicts the bounds."""
        x = np.vstack([sample(lower, upper), found.points])
        values = np.concatenate([evaluate(self.network, x), x[:, self.passed]], axis=1) @ rows.T
        rounding = found.slack + TOLERANCE * (1.0 + abs(values))
        if not ((found.lower - rounding <= values) & (values <= found.upper + rounding)).all():
            raise NumericalError("auto_LiRPA's bounds exclude a value that is attained")


def sample(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Centre, the two extreme corners and some random points of the box: [k, n_inputs]."""
    inside = np.random.default_rng(0).uniform(lower, upper, size=(RANDOM_POINTS, len(lower)))
    return np.vstack([(lower + upper) / 2.0, lower, upper, np.clip(inside, lower, upper)])


def _ask(
    module: Any, device: str, box: Interval, rows: np.ndarray, method: str, steps: int, stop: Stop | None
) -> Found:
    """The library's answer to one question, in numpy."""
    from certify.backends import auto_lirpa_shims as shims

    with shims.working():
        import torch

        library = shims.load()
        low, high, spec = (torch.from_numpy(np.array(a)).to(device) for a in (box.lower, box.upper, rows[None]))
        norm = library.PerturbationLpNorm(norm=np.inf, x_L=low, x_U=high)
        inputs = {"x": (library.BoundedTensor((low + high) / 2.0, norm),)}
        with torch.no_grad():
            if method == "ibp":
                slack = ROUNDING * (abs(rows) @ _reach(module.compute_bounds(**inputs, method="IBP")))
                return _found(module.compute_bounds(**inputs, C=spec, method="IBP"), slack, box.center[:0])
            output, source = module.output_name[0], module.input_name[0]
            wanted = {"return_A": True, "needed_A_dict": {output: {source}}}
            answer = module.compute_bounds(**inputs, C=spec, method=METHODS["crown"], **wanted)
            forms = answer[2][output][source]
            shape = (1, len(rows))
            form = LinearForm(_numpy(forms["lA"]).reshape(*shape, -1), _numpy(forms["lbias"]).reshape(shape))
            found = _found(answer, form.rounding(box)[0], form.minimiser(box)[0])
        if method == "crown":
            return found
        module.set_bound_opts(
            {"optimize_bound_args": {"iteration": steps, "stop_criterion_func": _criterion(stop, found)}}
        )
        answer = module.compute_bounds(**inputs, C=spec, method=METHODS[method], bound_upper=False)
        return _found((answer[0], torch.from_numpy(found.upper)), found.slack, found.points)


def _found(answer: Any, slack: np.ndarray, points: np.ndarray) -> Found:
    """The (lower, upper, ...) of one box; NumericalError if they are not finite, or have crossed."""
    low, high = (_numpy(bounds).reshape(-1) for bounds in answer[:2])
    finite = np.isfinite(low).all() and np.isfinite(high).all() and np.isfinite(slack).all()
    if not finite or not (low <= high + TOLERANCE * (1.0 + abs(low))).all():
        raise NumericalError("auto_LiRPA's bounds are NaN, infinite or have crossed")
    return Found(low, high, slack + ROUNDING * abs(low), points)


def _reach(bounds: Any) -> np.ndarray:
    """The largest magnitude of each value, from (lower, upper), [1, n] each."""
    return np.maximum(abs(_numpy(bounds[0])), abs(_numpy(bounds[1]))).reshape(-1)


def _numpy(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float64)


def _criterion(stop: Stop | None, found: Found) -> Callable[[Any], Any]:
    """`stop` as the library calls it: with lower bounds [1, rows], for a tensor [1, 1]."""
    import torch

    return lambda lower: torch.tensor(
        [[stop is not None and stop(_numpy(lower)[0] - found.slack)]], device=lower.device
    )


def _check_nodes(module: Any) -> None:
    """Look at the bounds of every hidden value: NumericalError if they are NaN, infinite, crossed, or beyond x_limit.

    (The tables that S-shaped functions are relaxed with end there, and the lines chosen beyond are no bounds.)
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
        if limits and not bool((low.abs() <= min(limits)).all() & (high.abs() <= min(limits)).all()):
            raise NumericalError(f"the values of {node.name} go beyond auto_LiRPA's tables")
