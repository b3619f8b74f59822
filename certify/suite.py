"""Suites: TOML files that list properties to check, and what should come out.

timeout = 60                                  # seconds each; the default
fail_on = ["violated", "undecided", "error"]  # the default

[[check]]
model = "model.onnx"                          # or networks = {f = "a.onnx", g = "b.onnx"}
spec = "properties/*.vnnlib"                  # one test per file; paths are relative to the suite
expect = "unsat"                              # or "sat"; the default
timeout = 5                                   # fail_on and backend too, instead of the suite's
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certify.errors import InputError
from certify.report.policy import Policy, read_fail_on

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SHARED: dict[str, tuple[type, ...]] = {
    "timeout": (int, float),
    "fail_on": (list,),
    "backend": (str,),
    "expect": (str,),
}
_CHECK: dict[str, tuple[type, ...]] = {"model": (str,), "networks": (dict,), "spec": (str,), **_SHARED}


@dataclass(frozen=True)
class Check:
    """One property of a suite. networks: model file by network name ("" where the spec declares none by name)."""

    name: str
    networks: dict[str, Path]
    spec: Path
    timeout: float
    backend: str
    policy: Policy


def read_suite(path: Path) -> list[Check]:
    """The checks of a suite, in order. Raises InputError, naming file and key, for anything that it cannot mean."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    tables = content.pop("check", None)
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: there is no [[check]]", "each begins a property to check")
    _only_known(path, "", content, _SHARED)
    return [check for number, table in enumerate(tables, 1) for check in _checks(path, number, content | table)]


def _checks(path: Path, number: int, table: dict[str, Any]) -> Iterator[Check]:
    """One check for each file that `spec` names."""
    place = f"check {number}: "
    _only_known(path, place, table, _CHECK)
    if "spec" not in table or ("model" in table) == ("networks" in table):
        raise InputError(f"{path}: {place}expected spec, and either model or networks")
    expect = table.get("expect", "unsat")
    if expect not in ("sat", "unsat"):
        raise InputError(f"{path}: {place}expect is '{expect}'", "write sat or unsat")
    files = table.get("networks") or {"": table["model"]}
    if not all(isinstance(file, str) for file in files.values()):
        raise InputError(f"{path}: {place}networks names files", 'as in networks = {f = "a.onnx"}')
    fail_on = read_fail_on(",".join(map(str, table["fail_on"])) or "none") if "fail_on" in table else Policy().fail_on
    policy, timeout = Policy(fail_on, expect), float(table.get("timeout", 60))
    networks = {name: path.parent / file for name, file in files.items()}
    for spec in _files(path, place, table["spec"]):
        name = f"{'-'.join(file.stem for file in networks.values())}-{spec.name}"
        yield Check(name, networks, spec, timeout, table.get("backend", "native"), policy)


def _files(path: Path, place: str, pattern: str) -> list[Path]:
    """The files that a pattern names; without wildcards, that one, whether or not it is there."""
    if not set(pattern) & set("*?["):
        return [path.parent / pattern]
    if Path(pattern).is_absolute():
        raise InputError(f"{path}: {place}the pattern {pattern} is absolute", "write it relative to the suite")
    found = sorted(path.parent.glob(pattern))
    if not found:
        raise InputError(f"{path}: {place}no file matches {pattern}", "patterns are relative to the suite")
    return found


def _only_known(path: Path, place: str, table: dict[str, Any], known: dict[str, tuple[type, ...]]) -> None:
    for key, value in table.items():
        if key not in known:
            raise InputError(f"{path}: {place}unknown key '{key}'", f"one of {', '.join(known)}")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            wanted = " or ".join(kind.__name__ for kind in known[key])
            raise InputError(f"{path}: {place}{key} is no {wanted}")
