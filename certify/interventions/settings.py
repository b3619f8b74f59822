"""The settings of an intervention: read from texts, checked, and described."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from certify.errors import InputError
from certify.interventions.base import Intervention

WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def make(method: type[Intervention], name: str, values: Mapping[str, Any]) -> Intervention:
    """The intervention with these settings. Raises InputError for one it does not have, or a value it cannot be."""
    known = {f.name: f for f in fields(method)}  # type: ignore[arg-type]
    kinds = get_type_hints(method)
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{name} has no setting '{key}'", f"it has: {', '.join(known) or 'none'}")
        _check(f"{name}: {key}", value, kinds[key], known[key].metadata.get("least"))
    return method(**values)


def parse(method: type[Intervention], name: str, texts: Iterable[str]) -> dict[str, Any]:
    """The values of texts `key=value`. Raises InputError for what they cannot mean."""
    kinds = get_type_hints(method)
    known = {f.name for f in fields(method)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: expected KEY=VALUE", "as in --set eps=0.1")
        if key not in known:
            raise InputError(
                f"--set {key}: {name} has no such setting", f"it has: {', '.join(sorted(known)) or 'none'}"
            )
        values[key] = _read(f"--set {key}", value, kinds[key])
    return values


def describe(method: type[Intervention]) -> list[tuple[str, str, str]]:
    """(name, "kind, default", what it is) of every setting."""
    kinds = get_type_hints(method)
    return [
        (f.name, f"{_named(kinds[f.name])}, {_shown(f)}", f.metadata.get("about", ""))
        for f in fields(method)  # type: ignore[arg-type]
    ]


def _shown(of: Field[Any]) -> str:
    return "default: chosen" if of.default is None else f"default {of.default}"


def _named(kind: Any) -> str:
    (kind, *_), _ = _options(kind)
    return "|".join(get_args(kind)) if get_origin(kind) is Literal else kind.__name__


def _options(kind: Any) -> tuple[list[Any], bool]:
    """(the type, as a list of one; whether None is a value too)."""
    parts = list(get_args(kind)) if get_origin(kind) is not Literal and get_args(kind) else [kind]
    return [part for part in parts if part is not NoneType], NoneType in parts


def _read(place: str, text: str, kind: Any) -> Any:
    (kind,), optional = _options(kind)
    if optional and text in ("", "none"):
        return None
    try:
        if kind is bool:
            return WORDS[text.lower()]
        return text if get_origin(kind) is Literal or kind is str else kind(text)
    except (KeyError, ValueError):
        raise InputError(f"{place}={text}: expected {_named(kind)}") from None


def _check(place: str, value: Any, kind: Any, least: float | None) -> None:
    (kind,), optional = _options(kind)
    if value is None and optional:
        return
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise InputError(f"{place} is '{value}'", f"choose one of: {', '.join(get_args(kind))}")
        return
    fits = isinstance(value, int | float) and not isinstance(value, bool) if kind is float else type(value) is kind
    if not fits:
        raise InputError(f"{place} is {value!r}, expected {_named(kind)}")
    if isinstance(value, int | float) and not math.isfinite(value):
        raise InputError(f"{place} is {value}", "give a finite number")
    if isinstance(value, int | float) and least is not None and value < least:
        raise InputError(f"{place} is {value}", f"the least is {least:g}")
