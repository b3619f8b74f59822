"""What bounds say of a specification before any search: its margin, and how many elements are unstable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from certify.api import bound
from certify.batch.instances import Instance
from certify.errors import CertifyError
from certify.network.read_onnx import Model, load_model
from certify.problem import worst_margin

# A specification of more regions has no margin here: it would have to be bounded on all of them.
MOST_REGIONS = 64


@dataclass(frozen=True)
class Root:
    """margin: proven lower bound of the property's margin over all regions, None if unknown. unstable: on how many of
    all `elements` of nonlinear operators, regions added up, the relaxation is inexact (in ReLU networks: the unstable
    ReLUs).
    """

    margin: float | None = None
    unstable: int = 0
    elements: int = 0


def roots(instances: Sequence[Instance], method: str, timeout: float) -> list[Root]:
    """The roots of one model's specifications, by `method` (crown, alpha-crown). timeout: seconds each, which
    alpha-CROWN makes use of. A specification that cannot be bounded gets an empty root: the verdict says why.
    """
    load = lru_cache(maxsize=4)(load_model)
    return [_root(instance, method, timeout, load) for instance in instances]


def _root(instance: Instance, method: str, timeout: float, load: lru_cache[Model]) -> Root:  # type: ignore[valid-type]
    try:
        regions = bound(
            Path(instance.networks[""]), instance.spec, method=method, timeout=timeout, most_regions=MOST_REGIONS + 1,
            load=load,
        )  # fmt: skip
    except (CertifyError, MemoryError):
        return Root()
    unstable = sum(sum(region.unstable.values()) for region in regions)
    elements = sum(sum(region.elements.values()) for region in regions)
    margins = [float(worst_margin(r.goal.formula, r.margins[None])[0]) for r in regions]
    known = 0 < len(regions) <= MOST_REGIONS and bool(np.isfinite(margins).all())
    return Root(min(margins) if known else None, unstable, elements)
