"""The direction of the doors: which room may import which. Lazy imports count too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "certify"

LEAVES = {"errors", "settings", "arrays", "files", "threads", "clock", "dataset", "proportion", "interrupt"}
# Room -> rooms it may import, leaves aside. A room is a folder or a file directly under certify/.
DOORS: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"interrupt"},
    "interrupt": set(),
    "arrays": set(),
    "threads": set(),
    "clock": set(),
    "files": set(),
    "dataset": {"files"},
    "proportion": set(),
    "accuracy": {"witness"},
    "ops": set(),
    "query": set(),
    "network": {"ops"},
    "problem": {"network", "query"},
    "bounds": {"ops", "network", "problem"},
    "attack": {"ops", "network", "query", "problem"},
    "witness": {"query", "problem"},
    "search": {"ops", "network", "query", "problem", "bounds"},
    "verdict": {"witness", "search"},
    "certificate": {"ops", "network", "query", "problem", "bounds", "witness", "search", "verdict"},
    "checker": set(),
    "verify": {"ops", "network", "query", "problem", "bounds", "attack", "witness", "search", "verdict"},
    "answer": {"problem", "verdict"},
    "backends": {"ops", "network", "query", "problem", "bounds", "attack", "witness", "search", "verdict", "verify"},
    "batch": {"network", "query", "problem", "witness", "verdict", "verify", "backends", "api", "answer"},
    "report": {"batch", "verdict", "compare"},
    "api": {"network", "query", "problem", "bounds", "search", "verdict", "certificate", "verify", "backends"},
    "suite": {"report"},
    "pytest_plugin": {"api", "query", "verdict", "batch", "report", "suite"},
    "spec": {"network", "query", "verdict", "api"},
    "torch_export": {"network", "witness"},
    "interventions": {
        "accuracy",
        "ops",
        "network",
        "query",
        "problem",
        "bounds",
        "attack",
        "witness",
        "search",
        "verdict",
        "backends",
        "api",
    },
    "quantities": {
        "ops",
        "network",
        "query",
        "problem",
        "bounds",
        "attack",
        "witness",
        "search",
        "verdict",
        "backends",
        "api",
        "spec",
    },
    "compare": {
        "quantities",
        "accuracy",
        "ops",
        "network",
        "query",
        "problem",
        "bounds",
        "attack",
        "witness",
        "search",
        "verdict",
        "backends",
        "api",
        "batch",
        "certificate",
        "spec",
    },
    "studies": {
        "accuracy",
        "network",
        "query",
        "problem",
        "witness",
        "batch",
        "interventions",
        "compare",
        "quantities",
    },  # fmt: skip
    "__init__": {"api", "compare", "interventions", "network", "quantities", "spec", "torch_export"},
    "cli": {"*"},
    "__main__": {"cli"},
}


def room_of(path: Path, package: Path = PACKAGE) -> str:
    """The room a file belongs to."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported(source: str) -> set[str]:
    """Rooms of certify that a source text imports, anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("certify."):
            names = [node.value] if " " not in node.value else []
        rooms |= {name.split(".")[1] for name in names if name.startswith("certify.")}
    return rooms


def violations(room: str, source: str) -> set[str]:
    """Rooms that `room` imports without a door to them."""
    allowed = DOORS[room] | LEAVES | {room}
    found = imported(source)
    if room == "checker":
        # The inspector lives in another building: not even the leaves are shared.
        allowed = {room}
    if room in LEAVES:
        allowed = DOORS[room] | {"errors", "files", room}
    return set() if "*" in allowed else {other for other in found if other in DOORS and other not in allowed}


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_import_goes_through_a_door(path: Path) -> None:
    assert room_of(path) in DOORS, f"{path} stands in a room that the table does not know"
    assert violations(room_of(path), path.read_text()) == set()


def test_nothing_but_the_command_line_imports_it() -> None:
    importers = {room_of(path) for path in FILES if "cli" in imported(path.read_text())}
    assert importers <= {"cli", "__main__"}


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("ops", "from certify.network.graph import Network", {"network"}),
        ("witness", "def f():\n    import certify.network.graph", {"network"}),
        ("query", "from certify.ops import relu", {"ops"}),
        ("bounds", "if True:\n    from certify.search.tree import SearchTree", {"search"}),
        ("errors", "from certify.settings import Budget", {"settings"}),
        ("ops", "import_module('certify.search.prove')", {"search"}),
        ("checker", "from certify.errors import InputError", {"errors"}),
        ("checker", "import certify.network.graph", {"network"}),
    ],
)
def test_a_seeded_violation_is_found(room: str, source: str, found: set[str]) -> None:
    assert violations(room, source) == found


def test_the_table_has_no_cycle() -> None:
    order: list[str] = []
    left = {room: doors - {"*"} for room, doors in DOORS.items()}
    while left:
        free = [room for room, doors in left.items() if not doors - set(order) - LEAVES]
        assert free, f"a cycle among {sorted(left)}"
        order += free
        left = {room: doors for room, doors in left.items() if room not in free}


def test_package_roots_import_nothing_eagerly() -> None:
    for path in FILES:
        if path.name == "__init__.py" and path.parent != PACKAGE:
            body = ast.parse(path.read_text()).body
            eager = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
            names = {getattr(node, "module", "") for node in eager}
            assert names <= {"__future__", "typing", "sys", "types"}, path
