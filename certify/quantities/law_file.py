"""Reading a law from a file: a product of marginals, or a mixture of such, as JSON or TOML.

    {"kind": "product", "marginals": [{"law": "uniform", "lower": 0, "upper": 1}, {"law": "point", "value": 0.5}, ...]}
    {"kind": "mixture", "components": [{"weight": 0.5, "marginals": [...]}, ...]}

A single marginal instead of a list stands for every input. Marginals: uniform (lower, upper), normal (mean, sd, and
lower, upper if it is truncated), beta (a, b, and lower, upper if not 0, 1), discrete (values, weights), point (value).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from certify.errors import InputError
from certify.files import read_bytes
from certify.quantities.law import Beta, Discrete, Marginal, Normal, Uniform
from certify.quantities.mass import Product


def read_law(path: str | Path, n_inputs: int) -> list[Product]:
    """The components of the law in a file, with weights that add up to 1. Raises InputError for what is no law."""
    name, data = str(path), _decoded(path)
    kind = data.get("kind")
    if kind == "product":
        return [_component(data, n_inputs, name)]
    if kind != "mixture":
        raise InputError(f'{name}: "kind" must be product or mixture, not {kind!r}')
    parts = data.get("components")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, Mapping) for part in parts):
        raise InputError(f'{name}: a mixture needs a list of "components"')
    found = [_component(part, n_inputs, f"{name}: component {i}") for i, part in enumerate(parts)]
    weights = [_number(part, "weight", f"{name}: component {i}") for i, part in enumerate(parts)]
    if min(weights) <= 0.0:
        raise InputError(f"{name}: a weight is not above 0", "leave the component out")
    total = math.fsum(weights)
    return [replace(component, weight=w / total) for component, w in zip(found, weights, strict=True)]


def _decoded(path: str | Path) -> Mapping[str, Any]:
    text = read_bytes(path).decode("utf-8", "replace")
    try:
        if str(path).endswith(".toml"):
            try:
                import tomllib
            except ImportError:  # before Python 3.11
                import tomli as tomllib
            data: Any = tomllib.loads(text)
        else:
            data = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: neither JSON nor TOML: {error}") from error
    if not isinstance(data, Mapping):
        raise InputError(f'{path}: a law is an object with a "kind"', 'as in {"kind": "product", "marginals": [...]}')
    return data


def _component(data: Mapping[str, Any], n_inputs: int, where: str) -> Product:
    given = data.get("marginals")
    if isinstance(given, Mapping):
        return Product((_marginal(given, where),) * n_inputs)
    if not isinstance(given, list) or len(given) != n_inputs:
        count = len(given) if isinstance(given, list) else "no"
        raise InputError(f"{where}: {count} marginals for {n_inputs} inputs", "one for each, or a single one for all")
    return Product(tuple(_marginal(entry, f"{where}, input {i}") for i, entry in enumerate(given)))


def _marginal(entry: Any, where: str) -> Marginal:
    law = entry.get("law") if isinstance(entry, Mapping) else None
    if law not in MARGINALS:
        raise InputError(f"{where}: there is no law {law!r}", f"choose one of: {', '.join(MARGINALS)}")
    make, required, optional = MARGINALS[law]
    unknown = set(entry) - {"law", *required, *optional}
    if unknown:
        raise InputError(f"{where}: {law} has no {', '.join(sorted(unknown))}", f"it has {', '.join(required)}")
    return make(entry, where)


def _uniform(entry: Mapping[str, Any], where: str) -> Marginal:
    return Uniform(*_ends(entry, where, 0.0, 0.0))


def _normal(entry: Mapping[str, Any], where: str) -> Marginal:
    sd = _number(entry, "sd", where)
    if sd <= 0.0:
        raise InputError(f"{where}: sd must be above 0", 'a single value is {"law": "point", "value": ...}')
    found = Normal(_number(entry, "mean", where), sd, *_ends(entry, where, -math.inf, math.inf))
    if found.total[0] <= 0.0:
        raise InputError(f"{where}: the normal law has no mass between lower and upper that could be computed")
    return found


def _beta(entry: Mapping[str, Any], where: str) -> Marginal:
    a, b = _number(entry, "a", where), _number(entry, "b", where)
    if min(a, b) <= 0.0:
        raise InputError(f"{where}: a and b must be above 0")
    return Beta(a, b, *_ends(entry, where, 0.0, 1.0))


def _discrete(entry: Mapping[str, Any], where: str) -> Marginal:
    values, weights = (_numbers(entry, key, where) for key in ("values", "weights"))
    if len(values) != len(weights) or len(set(values)) != len(values) or min(weights) <= 0.0:
        raise InputError(f"{where}: one weight above 0 for each value, no value twice")
    pairs = sorted(zip(values, weights, strict=True))
    return Discrete(tuple(value for value, _ in pairs), tuple(weight for _, weight in pairs))


def _point(entry: Mapping[str, Any], where: str) -> Marginal:
    return Discrete((_number(entry, "value", where),), (1.0,))


def _ends(entry: Mapping[str, Any], where: str, low: float, high: float) -> tuple[float, float]:
    """lower and upper, lower below upper."""
    lower = _number(entry, "lower", where) if "lower" in entry or low == high else low
    upper = _number(entry, "upper", where) if "upper" in entry or low == high else high
    if not lower < upper:
        raise InputError(f"{where}: lower must be below upper", 'a single value is {"law": "point", "value": ...}')
    return lower, upper


def _number(entry: Mapping[str, Any], key: str, where: str) -> float:
    value = entry.get(key)
    if not _finite(value):
        raise InputError(f'{where}: "{key}" must be a finite number, not {value!r}')
    return float(value)  # type: ignore[arg-type]


def _numbers(entry: Mapping[str, Any], key: str, where: str) -> list[float]:
    found = entry.get(key)
    if not isinstance(found, list) or not found or not all(map(_finite, found)):
        raise InputError(f'{where}: "{key}" must be a list of finite numbers')
    return [float(value) for value in found]


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


Maker = Callable[[Mapping[str, Any], str], Marginal]
# How each law is made, what it needs and what it may have.
MARGINALS: dict[str, tuple[Maker, tuple[str, ...], tuple[str, ...]]] = {
    "uniform": (_uniform, ("lower", "upper"), ()),
    "normal": (_normal, ("mean", "sd"), ("lower", "upper")),
    "beta": (_beta, ("a", "b"), ("lower", "upper")),
    "discrete": (_discrete, ("values", "weights"), ()),
    "point": (_point, ("value",), ()),
}
