"""Specifications of public benchmarks, where ../shared has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import certify
from certify.errors import ParseError
from certify.query.normal_form import UnsafeSet, lower
from certify.query.read import parse_query, read_query
from certify.query.write import write_query

SHARED = Path(__file__).parents[2].parent / "shared"
PAIRS = SHARED / "vnnlib2" / "pairs"
STANDARD = SHARED / "vnnlib2" / "standard"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is absent")


def _specs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.vnnlib*") if path.is_file())


def _same_problem(first: UnsafeSet, second: UnsafeSet) -> None:
    assert first.atoms.outputs.tobytes() == second.atoms.outputs.tobytes()
    assert (first.atoms.inputs is None) == (second.atoms.inputs is None)
    if first.atoms.inputs is not None and second.atoms.inputs is not None:
        assert first.atoms.inputs.tobytes() == second.atoms.inputs.tobytes()
    assert first.atoms.strict.tobytes() == second.atoms.strict.tobytes()
    assert first.atoms.rhs.tobytes() == second.atoms.rhs.tobytes()
    regions = [
        [(r.lower.tobytes(), r.upper.tobytes(), r.formula) for r in unsafe.regions] for unsafe in (first, second)
    ]
    assert regions[0] == regions[1]


def _twins() -> list[tuple[Path, Path]]:
    found = []
    for second in _specs(PAIRS):
        if "v2" in second.parts:
            name = second.name.replace(".v2.vnnlib", ".vnnlib")
            first = Path(str(second.parent).replace("/v2/", "/v1/")) / name
            if first.is_file():
                found.append((first, second))
    return found


def test_twins_are_the_same_problem_in_both_versions() -> None:
    twins = _twins()
    assert len(twins) == 54  # of 56 specs in each version, two have no partner of their name
    for first, second in twins:
        _same_problem(lower(read_query(first)), lower(read_query(second)))


@pytest.mark.integration
def test_every_benchmark_spec_reads_and_round_trips() -> None:
    specs = _specs(SHARED / "vnncomp")
    if not specs:
        pytest.skip("../shared/vnncomp is absent")
    by_benchmark: dict[str, int] = {}
    for path in specs:
        query = read_query(path)
        unsafe = lower(query)
        region = next(iter(unsafe.regions))
        assert np.isfinite(region.lower).all()
        assert (region.lower <= region.upper).all()
        benchmark = path.relative_to(SHARED / "vnncomp").parts[0]
        by_benchmark[benchmark] = by_benchmark.get(benchmark, 0) + 1
        if by_benchmark[benchmark] <= 2 and path.stat().st_size < 20_000:
            for version in ("1.0", "2.0"):
                again = parse_query(write_query(query, version=version), strict=True)  # type: ignore[arg-type]
                _same_problem(unsafe, lower(again))


@pytest.mark.integration
def test_the_equal_pair_written_between_operands_is_decided() -> None:
    folder = SHARED / "vnnlib2" / "two_networks" / "equal_acasxu"
    spec, file = folder / "vnnlib" / "instance_0.vnnlib", folder / "onnx" / "ACASXU_run2a_4_2_batch_2000.onnx"
    assert [warning.code for warning in read_query(spec).warnings] == ["V1303"]
    with pytest.raises(ParseError, match="30:17: V1303"):
        read_query(spec, strict=True)
    assert certify.check({"f": file}, spec, timeout=60).status.value == "sat"


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("acc", None),
        ("cartpole", None),
        ("drones", None),
        ("dubinsrejoin", None),
        ("lunarlander", None),
        ("single_network", None),
        ("initialized", "A\\[0\\] has no lower bound"),
        ("intermediate_nodes", None),
        ("multiple_networks", "input A\\[1\\] has no lower bound"),
        ("mnist", "has no lower bound"),
        ("test_linearise", "above its upper bound"),
    ],
)
def test_the_samples_of_the_standard(name: str, outcome: str | None) -> None:
    path = STANDARD / f"{name}.vnnlib"
    if outcome is None:
        assert list(lower(read_query(path)).regions)
        return
    with pytest.raises(ParseError, match=outcome):
        lower(read_query(path))
