"""Certificates, specifications and models that were tampered with, and why each must be refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from certificates import Base, Contents, sha256
from onnx import helper, numpy_helper

Files = dict[str, bytes]


@dataclass(frozen=True)
class Mutation:
    """change: what is done to the contents, or to the problem's files {"model", "spec"} before; data: to the file."""

    name: str
    base: str
    word: str
    reason: str
    change: Callable[[Contents], None] = lambda contents: None
    files: Callable[[Files], None] = lambda files: None
    data: Callable[[bytes], bytes] = lambda data: data


def mutations(bases: dict[str, Base]) -> Iterator[Mutation]:
    """All of them."""
    yield from _of_headers()
    yield from _of_files()
    yield from _of_boxes()
    yield from _of_signs()
    yield from _of_forests()
    yield from _of_witnesses()
    yield from _of_probabilities(bases)
    yield from _of_problems(bases)


def _put(key: str, value: Any) -> Callable[[Contents], None]:
    return lambda c: c.header.__setitem__(key, value)


def _part(key: str, value: Any, number: int = 0) -> Callable[[Contents], None]:
    return lambda c: c.header["parts"][number].__setitem__(key, value)


def _set(name: str, place: Any, value: Any) -> Callable[[Contents], None]:
    """One element, or some, of an array."""
    return lambda c: c.arrays["0/" + name].__setitem__(place, value)


def _array(name: str, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Contents], None]:
    return lambda c: c.arrays.__setitem__("0/" + name, function(c.arrays["0/" + name]))


def _of_headers() -> Iterator[Mutation]:
    for base in ("boxes", "witness"):
        make = lambda name, word, reason, change, base=base: Mutation(f"{base}_{name}", base, word, reason, change)  # noqa: E731
        yield make("other_format", "malformed", "the format", _put("format", "something"))
        yield make("older_version", "unsupported", "version 1", _put("version", 1))
        yield make("newer_version", "unsupported", "version 3", _put("version", 3))
        yield make("other_semantics", "unsupported", "semantics", _put("semantics", "float16"))
        yield make("swapped_model_hash", "rejected", "another model", _put("model", "0" * 64))
        yield make("swapped_spec_hash", "rejected", "another spec", _put("spec", "f" * 64))
        yield make("unknown_field", "malformed", "unknown fields", _put("comment", "trust me"))
        yield make("missing_field", "malformed", "lacks", lambda c: c.header.pop("spec"))
        yield make("unknown_verdict", "malformed", "verdict", _put("verdict", "unknown"))
    yield Mutation("claims_sat_without_witness", "boxes", "malformed", "verdict", _put("verdict", "sat"))
    yield Mutation("claims_unsat_with_witness", "witness", "malformed", "verdict", _put("verdict", "unsat"))
    empty = {"verdict": "unsat", "rectifiers": [], "parts": []}

    def claim(c: Contents) -> None:
        c.header.pop("witness")
        c.header |= empty

    yield Mutation("violated_but_claims_unsat", "witness", "rejected", "has no proof", claim)

    def no_split(c: Contents) -> None:
        claim(c)
        c.header["parts"] = [{"kind": "boxes", "cases": [0]}]
        c.arrays = {"0/cut_node": np.zeros(0, int), "0/cut_axis": np.zeros(0, int), "0/cut_point": np.zeros(0)}

    yield Mutation("violated_and_unsplit", "witness", "rejected", "not refuted", no_split)
    yield Mutation("no_parts", "boxes", "rejected", "has no proof", _put("parts", []))
    yield Mutation("parts_no_list", "boxes", "malformed", "lists", _put("parts", {}))
    yield Mutation("unknown_kind", "boxes", "malformed", "unknown kind", _part("kind", "magic"))
    yield Mutation("unknown_field_of_part", "boxes", "malformed", "unknown fields", _part("skip", True))
    yield Mutation("case_dropped", "cases", "rejected", "has no proof", _part("cases", [1, 1]))
    yield Mutation("case_only_once", "cases", "malformed", "not a number below", _part("cases", [0, 7]))
    yield Mutation("case_negative", "cases", "malformed", "not a number below", _part("cases", [0, -1]))
    yield Mutation("case_boolean", "cases", "malformed", "not a number below", _part("cases", [False, 1]))
    yield Mutation("cases_swapped", "cases", "rejected", "not refuted", _part("cases", [1, 0]))


def _of_files() -> Iterator[Mutation]:
    make = lambda name, reason, data: Mutation(f"file_{name}", "boxes", "malformed", reason, data=data)  # noqa: E731
    yield make("empty", "no certificate", lambda data: b"")
    yield make("truncated", "no certificate", lambda data: data[: len(data) // 2])
    yield make("beheaded", "", lambda data: data[200:])
    yield make("text", "no certificate", lambda data: b"accepted\n" * 50)
    yield make("one_byte_changed", "", lambda data: data[:80] + bytes([data[80] ^ 0x55]) + data[81:])
    raw = lambda name, data: lambda c: c.raw.append((name, data))  # noqa: E731
    nan = b'{"format": "certify-certificate", "version": NaN}'
    yield Mutation("nan_in_header", "boxes", "malformed", "NaN", raw("certificate.json", nan))
    twice = b'{"format": "certify-certificate", "format": "certify-certificate"}'
    yield Mutation("field_twice", "boxes", "malformed", "twice", raw("certificate.json", twice))
    yield Mutation("header_a_list", "boxes", "malformed", "no object", raw("certificate.json", b"[]"))
    yield Mutation("header_no_json", "boxes", "malformed", "no certificate", raw("certificate.json", b"{"))
    yield Mutation("extra_member", "boxes", "malformed", "refers", raw("1/cut_node.npy", b"?"))
    yield Mutation("array_no_npy", "boxes", "malformed", "damaged", _replaced(b"hello"))
    yield Mutation("array_missing", "boxes", "malformed", "missing", lambda c: c.arrays.pop("0/cut_axis"))
    pickled = np.array([{"a": 1}], dtype=object)
    yield Mutation(
        "array_pickled", "boxes", "malformed", "damaged", lambda c: c.arrays.__setitem__("0/cut_node", pickled)
    )
    yield Mutation("array_complex", "boxes", "malformed", "floats", _array("cut_point", lambda a: a.astype(complex)))
    yield Mutation("array_of_floats", "boxes", "malformed", "numbers", _array("cut_node", lambda a: a.astype(float)))
    yield Mutation("array_too_short", "boxes", "malformed", "shape", _array("cut_axis", lambda a: a[:-1]))
    yield Mutation("array_flat", "boxes", "malformed", "shape", _array("cut_node", lambda a: a[None]))


def _replaced(data: bytes) -> Callable[[Contents], None]:
    def change(c: Contents) -> None:
        c.arrays.pop("0/cut_point")
        c.raw.append(("0/cut_point.npy", data))

    return change


def _of_boxes() -> Iterator[Mutation]:
    make = lambda name, word, reason, change: Mutation(f"boxes_{name}", "boxes", word, reason, change)  # noqa: E731

    def fewer(count: int) -> Callable[[Contents], None]:
        def change(c: Contents) -> None:
            for name in ("cut_node", "cut_axis", "cut_point"):
                c.arrays["0/" + name] = c.arrays["0/" + name][:count]

        return change

    for count in (0, 1, 2, 5, 10, -1):
        yield make(f"only_{count}_cuts", "rejected", "not refuted", fewer(count))
    yield make("nan_point", "rejected", "NaN", _set("cut_point", 3, np.nan))
    yield make("infinite_point", "rejected", "NaN", _set("cut_point", 0, np.inf))
    yield make("point_at_the_edge", "rejected", "not refuted", _set("cut_point", 0, -1.0))
    yield make("other_points", "rejected", "not refuted", _array("cut_point", lambda a: a[::-1].copy()))
    yield make("flipped_axes", "rejected", "not refuted", _array("cut_axis", lambda a: 1 - a))
    yield make("axis_too_large", "malformed", "does not exist", _set("cut_axis", 0, 2))
    yield make("axis_negative", "malformed", "numbers", _set("cut_axis", 0, -1))
    yield make("cut_of_later_node", "malformed", "does not exist", _set("cut_node", 0, 5))
    yield make("cut_of_itself", "malformed", "does not exist", _set("cut_node", 3, 8))
    yield make(
        "node_cut_twice",
        "malformed",
        "twice",
        lambda c: c.arrays["0/cut_node"].__setitem__(2, c.arrays["0/cut_node"][1]),
    )


def _of_signs() -> Iterator[Mutation]:
    for base, name in (("deep", "step_slopes"), ("slopes", "root_slopes"), ("signs", "step_slopes")):
        for label, value, reason in (
            ("above_one", np.nextafter(np.float32(1), np.float32(2)), "outside"),
            ("below_zero", -1e-30, "outside"),
            ("nan", np.nan, "NaN"),
            ("infinite", -np.inf, "NaN"),
        ):
            yield Mutation(f"{base}_slope_{label}", base, "rejected", reason, _set(name, (..., 0), value))
    for base in ("deep", "signs"):
        make = lambda name, word, reason, change, base=base: Mutation(f"{base}_{name}", base, word, reason, change)  # noqa: E731
        yield make("multiplier_negative", "rejected", "outside", _set("step_multipliers", (..., 0), -1e-6))
        yield make("multiplier_nan", "rejected", "NaN", _set("step_multipliers", (..., 0), np.nan))
        yield make("no_evidence", "malformed", "shape", _array("step_node", lambda a: a[:0]))
        yield make("evidence_twice", "malformed", "two pieces", _array("step_node", lambda a: a * 0))
        yield make("evidence_nowhere", "malformed", "does not exist", _set("step_node", -1, 10**6))
        yield make("free_entry_twice", "malformed", "twice", _set("free_element", slice(0, 2), 0))
        yield make("free_element_too_large", "malformed", "does not have", _set("free_element", 0, 10**6))
        yield make("free_rectifier_unknown", "malformed", "without a name", _set("free_rectifier", 0, 99))
        yield make(
            "rectifier_renamed", "rejected", "does not have", lambda c: c.header["rectifiers"].__setitem__(0, "h9")
        )
        yield make(
            "rectifier_twice", "rejected", "does not have", lambda c: c.header["rectifiers"].__setitem__(0, "h1")
        )
        yield make("conjunction_dropped", "rejected", "has no proof", _part("clauses", []))
        yield make("conjunction_unknown", "malformed", "not a number below", _part("clauses", [9]))
        yield make("clips_a_number", "malformed", "true or false", _part("clips", 2))
        yield make("hidden_no_list", "malformed", "list", _part("hidden", None))
        yield make("cut_of_no_entry", "malformed", "no free entry", _set("cut_free", 0, 999))
        yield make("cut_missing", "rejected", "not refuted", _fewer_signs)
    yield Mutation("deep_flipped_split", "deep", "rejected", "not refuted", _flipped)
    yield Mutation("slopes_all_one", "slopes", "rejected", "has no proof", _set("root_slopes", ..., 1.0))
    yield Mutation("slopes_left_out", "slopes", "malformed", "true or false", _part("root", 1))


def _of_forests() -> Iterator[Mutation]:
    """Of the trees of rows of hidden values, in the last turn."""
    for base, turn in (("rows", 1), ("turns", 2)):
        make = lambda name, word, reason, change, base=base: Mutation(f"{base}_{name}", base, word, reason, change)  # noqa: E731
        every = [f"hidden_{turn}_{group}_" for group in (0, 1)]
        first, last = every

        def both(key: str, function: Callable[[np.ndarray], np.ndarray], every: list[str] = every) -> Any:
            return lambda c: [_array(start + key, function)(c) for start in every]

        yield make("no_cuts", "rejected", "has no proof", lambda c, every=every: [_uncut(c, start) for start in every])
        yield make("children_exchanged", "rejected", "has no proof",
                   lambda c, every=every: [_exchanged(c, start) for start in every])  # fmt: skip
        yield make("other_cuts", "rejected", "has no proof", both("cut_free", _exchanged_entries))
        yield make("one_cut_for_all", "malformed", "too many", both("cut_free", lambda a: a * 0 + a[0]))
        yield make("other_elements", "rejected", "has no proof", both("elements", lambda a: a[::-1].copy()))
        yield make("other_leaves", "rejected", "has no proof", both("slopes", lambda a: a[::-1].copy()))
        yield make("slopes_zero", "rejected", "has no proof", both("slopes", lambda a: a * np.uint8(0)))
        yield make("slopes_one", "rejected", "has no proof", both("slopes", lambda a: a | np.uint8(255)))
        yield make("multipliers_zero", "rejected", "has no proof", both("multipliers", lambda a: a * 0))
        yield make("multipliers_larger", "rejected", "has no proof", both("multipliers", lambda a: 2 * a + 1))
        yield make("turn_left_out", "rejected", "has no proof",
                   lambda c: c.header["parts"][0]["hidden"].pop())  # fmt: skip
        yield make("slopes_of_floats", "malformed", "bytes", _array(last + "slopes", lambda a: a / 255.0))
        yield make("slopes_signed", "malformed", "bytes", _array(last + "slopes", lambda a: a.astype(np.int8)))
        yield make("leaf_dropped", "malformed", "shape", _array(last + "slopes", lambda a: a[:-1]))
        yield make("leaf_too_many", "malformed", "shape", _array(last + "slopes", lambda a: np.repeat(a, 2, axis=0)))
        yield make("row_multiplier_negative", "rejected", "outside", _set(last + "multipliers", 0, -1e-30))
        yield make("row_multiplier_nan", "rejected", "NaN", _set(last + "multipliers", -1, np.nan))
        yield make("multipliers_too_few", "malformed", "too few", _array(last + "multipliers", lambda a: a[:-1]))
        yield make("multipliers_too_many", "malformed", "too many",
                   _array(last + "multipliers", lambda a: np.append(a, a[:1])))  # fmt: skip
        yield make("cut_of_its_own_value", "malformed", "earlier", lambda c, last=last: _later(c, last))
        yield make("row_cut_of_no_entry", "malformed", "earlier", _set(first + "cut_free", 0, 999))
        yield make("row_cut_of_later_node", "malformed", "does not exist", _set(last + "cut_node", 0, 10**6))
        yield make("row_cut_of_itself", "malformed", "does not exist",
                   lambda c, last=last: c.arrays[f"0/{last}cut_node"].__setitem__(
                       0, 2 * len(c.arrays[f"0/{last}elements"])))  # fmt: skip
        yield make("row_cut_twice", "malformed", "twice", _array(last + "cut_node", lambda a: a * 0 + a[0]))
        yield make("row_cut_wrapped", "malformed", "numbers",
                   _array(last + "cut_node", lambda a: a.astype(np.uint64) + np.uint64(2**63)))  # fmt: skip
        yield make("element_too_large", "malformed", "does not have", _set(first + "elements", 0, 10**6))
        yield make("groups_of_other_values", "malformed", "",
                   lambda c: c.header["parts"][0]["hidden"][-1].reverse())  # fmt: skip
        yield make("groups_no_lists", "malformed", "lists", _part("hidden", [1, 2]))
        yield make("group_of_no_value", "malformed", "not a number below", _part("hidden", [[9]]))
    every = ["hidden_1_0_", "hidden_1_1_"]
    spoiled = lambda c: [_spoiled(c, start) for start in every]  # noqa: E731
    yield Mutation("rows_leaf_0_spoiled", "rows", "rejected", "has no proof", spoiled)


def _uncut(c: Contents, start: str) -> None:
    """Every row without its cuts, with what was given for its first leaves."""
    roots = 2 * len(c.arrays[f"0/{start}elements"])
    for key, count in (("cut_node", 0), ("cut_free", 0), ("slopes", roots), ("multipliers", 0)):
        c.arrays[f"0/{start}{key}"] = c.arrays[f"0/{start}{key}"][:count]


def _exchanged_entries(cut_free: np.ndarray) -> np.ndarray:
    """The first entry instead of the last, the second instead of the last but one, and so on."""
    entries = np.unique(cut_free)
    return entries[::-1][np.searchsorted(entries, cut_free)]


def _spoiled(c: Contents, start: str) -> None:
    """The first leaf of the row that is cut most, with slopes that are good for nothing."""
    roots, node = 2 * len(c.arrays[f"0/{start}elements"]), c.arrays[f"0/{start}cut_node"].astype(int)
    root = np.arange(roots + 2 * len(node))
    for i, parent in enumerate(node.tolist()):
        root[roots + 2 * i : roots + 2 * i + 2] = root[parent]
    below = root[np.setdiff1d(np.arange(len(root)), node)]
    spoiled = np.flatnonzero(below == np.bincount(below).argmax())[0]
    c.arrays[f"0/{start}slopes"][spoiled] = 255 - c.arrays[f"0/{start}slopes"][spoiled]


def _exchanged(c: Contents, start: str) -> None:
    """What was given for the two children of every cut exchanged, where both are leaves of equal depth."""
    roots, node = 2 * len(c.arrays[f"0/{start}elements"]), c.arrays[f"0/{start}cut_node"].astype(int)
    depth = np.zeros(roots + 2 * len(node), dtype=int)
    for i, parent in enumerate(node.tolist()):
        depth[roots + 2 * i : roots + 2 * i + 2] = depth[parent] + 1
    leaves = np.setdiff1d(np.arange(len(depth)), node)
    partner = np.where(leaves >= roots, roots + ((leaves - roots) ^ 1), leaves)
    place = np.searchsorted(leaves, partner)
    place = np.where(np.isin(partner, leaves), place, np.arange(len(leaves)))
    parts = np.split(c.arrays[f"0/{start}multipliers"], np.cumsum(depth[leaves])[:-1])
    c.arrays[f"0/{start}slopes"] = c.arrays[f"0/{start}slopes"][place]
    c.arrays[f"0/{start}multipliers"] = np.concatenate([parts[i] for i in place])


def _later(c: Contents, start: str) -> None:
    """A cut by an entry of the last rectifier, which comes after what is bounded."""
    c.arrays[f"0/{start}cut_free"][0] = c.arrays["0/free_rectifier"].argmax()


def _fewer_signs(c: Contents) -> None:
    for name in ("cut_node", "cut_free"):
        c.arrays["0/" + name] = c.arrays["0/" + name][:0]
    kept = c.arrays["0/step_node"] < 1
    refined = c.arrays["0/refined_node"] < 0
    for name in ("node", "slopes", "multipliers"):
        c.arrays[f"0/step_{name}"] = c.arrays[f"0/step_{name}"][kept]
        c.arrays[f"0/refined_{name}"] = c.arrays[f"0/refined_{name}"][:0]
    c.arrays["0/refined_free"] = c.arrays["0/refined_free"][refined]
    for name in ("node", "slopes", "multipliers", "weights"):
        c.arrays[f"0/joined_{name}"] = c.arrays[f"0/joined_{name}"][:0]


def _flipped(c: Contents) -> None:
    """The evidence of the two children of every cut exchanged, as if the split had been the other way round."""
    node = c.arrays["0/step_node"]
    roots = len(c.header["parts"][0]["clauses"])
    c.arrays["0/step_node"] = np.where(node >= roots, roots + ((node - roots) ^ 1), node)


def _of_witnesses() -> Iterator[Mutation]:
    witness = lambda change: lambda c: change(c.header["witness"])  # noqa: E731
    make = lambda name, word, reason, change: Mutation(f"witness_{name}", "witness", word, reason, witness(change))  # noqa: E731
    ulp = f"{np.nextafter(1.0, 2.0):.17g}"
    yield make("one_ulp_outside", "rejected", "does not satisfy", lambda w: w.__setitem__(0, ulp))
    yield make("far_outside", "rejected", "does not satisfy", lambda w: w.__setitem__(1, "-3"))
    yield make("elsewhere", "rejected", "does not satisfy", lambda w: w.__setitem__(slice(None), ["-0.9", "0.9"]))
    yield make("too_short", "malformed", "all inputs", lambda w: w.pop())
    yield make("nan", "malformed", "no decimal", lambda w: w.__setitem__(0, "nan"))
    yield make("expression", "malformed", "no decimal", lambda w: w.__setitem__(0, "1/3"))
    yield make("numbers", "malformed", "no decimal", lambda w: w.__setitem__(0, 0.5))
    yield Mutation("witness_no_list", "witness", "malformed", "list", _put("witness", "0"))


def _of_problems(bases: dict[str, Base]) -> Iterator[Mutation]:
    """The hash in the certificate is that of the tampered file: only the proof is wrong."""

    def spec(name: str, base: str, word: str, reason: str, old: str, new: str) -> Mutation:
        assert old in bases[base].spec, (base, old)
        text = bases[base].spec.replace(old, new, 1)
        return Mutation(
            f"{base}_{name}", base, word, reason, _put("spec", sha256(text.encode())),
            lambda files: files.__setitem__("spec", text.encode()),
        )  # fmt: skip

    for base in ("rows", "turns"):
        (number,) = re.findall(r"\(\+ Y_1 ([^)]*)\)", bases[base].spec)
        harder = repr(float(number) + 0.001)
        yield spec("harder_property", base, "rejected", "has no proof", number, harder)
        (number,) = re.findall(r"\(<= X_0 ([^)]*)\)", bases[base].spec)
        yield spec("box_widened", base, "rejected", "", number, repr(float(number) + 0.01))
    yield spec("box_widened", "boxes", "rejected", "not refuted", "(<= X_0 1.0)", "(<= X_0 1.5)")
    yield spec("box_open", "boxes", "unsupported", "without bounds", "(assert (<= X_0 1.0))\n", "")
    yield spec("relation_turned", "boxes", "rejected", "not refuted", "(assert (<= Y_0", "(assert (>= Y_0")
    yield spec("other_output", "boxes", "rejected", "not refuted", "(<= Y_0", "(<= Y_1")
    yield spec("and_became_or", "cases", "rejected", "not refuted", "(assert (and (<= Y_0", "(assert (or (<= Y_0")
    point = "(assert (or (and (>= X_0 0.0) (<= X_0 0.0) (>= X_1 0.0) (<= X_1 0.0))"
    yield spec("case_added", "cases", "rejected", "not refuted", "(assert (or ", point)
    yield spec(
        "parenthesis_missing", "boxes", "malformed", "parenthesis", "(assert (<= X_0 1.0))", "(assert (<= X_0 1.0)"
    )
    yield spec("undeclared", "boxes", "malformed", "neither", "(<= Y_0", "(<= Z_0")
    yield spec("product", "boxes", "unsupported", "products", "(<= Y_0", "(<= (* Y_0 Y_1)")
    yield spec("command", "boxes", "unsupported", "statement", "(assert (<= Y_0", "(check-sat)(assert (<= Y_0")
    text = bases["signs"].spec
    swapped = re.sub(r"\(or (\(and .*\)) (\(and .*\))\)\)\n$", r"(or \2 \1))\n", text)
    assert swapped != text
    yield spec("assertion_reordered", "signs", "rejected", "has no proof", text, swapped)
    yield from _of_models(bases)


def _of_probabilities(bases: dict[str, Base]) -> Iterator[Mutation]:
    make = lambda name, word, reason, change: Mutation(f"probability_{name}", "probability", word, reason, change)  # noqa: E731

    def unsat(cases: int) -> Callable[[Contents], None]:
        def change(c: Contents) -> None:
            c.header = {k: v for k, v in c.header.items() if k not in ("lower", "upper")} | {"verdict": "unsat"}
            c.header["parts"] = c.header["parts"][:cases]
            c.arrays = {name: array for name, array in c.arrays.items() if int(name[0]) < cases}

        return change

    yield make("claims_unsat", "rejected", "is not refuted", unsat(1))
    yield make("claims_unsat_of_both", "rejected", "is not refuted", unsat(2))
    yield make("claims_unsat_with_bounds", "malformed", "verdict", _put("verdict", "unsat"))
    yield make("claims_sat", "malformed", "verdict", _put("verdict", "sat"))
    yield make("with_witness", "malformed", "verdict", _put("witness", ["0.0", "0.0"]))
    yield make("without_upper", "malformed", "verdict", lambda c: c.header.pop("upper"))
    bad = {"negative": -1e-9, "above_one": 1.0000000000000002, "boolean": True, "whole": 1, "text": "0.5", "none": None}
    for name, value in bad.items():
        yield make(f"upper_{name}", "malformed", "no bounds", _put("upper", value))
        yield make(f"lower_{name}", "malformed", "no bounds", _put("lower", value))
    yield make("crossed", "malformed", "no bounds", lambda c: c.header.update(lower=0.75, upper=0.25))
    for name, word, reason in (
        ("NaN", "NaN", "NaN"),
        ("infinite", "1e999", "no bounds"),
        ("huge", "1e400", "no bounds"),
    ):

        def written(c: Contents, word: str = word) -> None:
            text = json.dumps(c.header | {"upper": "HERE"}).replace('"HERE"', word)
            c.raw.append(("certificate.json", text.encode()))

        yield make(f"upper_{name}", "malformed", reason, written)
    yield make("upper_too_low", "rejected", "the claim", lambda c: c.header.update(lower=0.0, upper=c.header["lower"]))
    yield make("upper_zero", "rejected", "the claim", lambda c: c.header.update(lower=0.0, upper=0.0))
    yield make("lower_too_high", "rejected", "the claim", lambda c: c.header.update(lower=c.header["upper"], upper=1.0))
    yield make("one_side_dropped", "rejected", "has no proof", lambda c: c.header["parts"].pop())
    yield make("one_side_twice", "rejected", "has no proof", _part("cases", [0], 1))
    yield make("one_side_thrice", "malformed", "two proofs", lambda c: _thrice(c))
    yield make("unknown_side", "malformed", "not a number below", _part("cases", [2], 1))

    def fewer(count: int) -> Callable[[Contents], None]:
        def change(c: Contents) -> None:
            c.arrays = {name: array[:count] if name[0] == "0" else array for name, array in c.arrays.items()}

        return change

    for count in (0, 1, 10, 200):
        yield make(f"only_{count}_cuts", "rejected", "the claim", fewer(count))
    yield make("flipped_axes", "rejected", "the claim", _array("cut_axis", lambda a: 1 - a))
    yield make("nan_point", "rejected", "NaN", _set("cut_point", 3, np.nan))
    yield make("nodes_cut_twice", "malformed", "twice", lambda c: c.arrays["0/cut_node"].__setitem__(4, 0))

    def relabelled(c: Contents) -> None:
        c.header |= {"verdict": "probability", "lower": 0.0, "upper": 0.0}

    yield Mutation("boxes_as_probability", "boxes", "rejected", "has no proof", relabelled)
    yield Mutation("signs_as_probability", "signs", "rejected", "has no proof", relabelled)
    yield Mutation("cases_as_probability", "cases", "unsupported", "one and the same closed box", relabelled)
    spec = bases["probability"].spec.replace("(assert (<= X_0 0.9))", "(assert (<= X_0 0.95))")
    strict = bases["probability"].spec.replace("(assert (<= X_0 0.9))", "(assert (< X_0 0.9))")
    for name, text, word, reason in (
        ("a_larger_box", spec, "rejected", "the claim"),
        ("an_open_box", strict, "unsupported", "closed box"),
    ):
        assert text != bases["probability"].spec
        yield Mutation(
            f"probability_of_{name}", "probability", word, reason, _put("spec", sha256(text.encode())),
            lambda files, text=text: files.__setitem__("spec", text.encode()),  # type: ignore[misc]
        )  # fmt: skip


def _thrice(c: Contents) -> None:
    c.header["parts"].append({"kind": "boxes", "cases": [0]})
    c.arrays |= {name.replace("0/", "2/"): array for name, array in c.arrays.items() if name.startswith("0/")}


def _of_models(bases: dict[str, Base]) -> Iterator[Mutation]:
    def model(name: str, word: str, reason: str, change: Callable[[onnx.ModelProto], None]) -> Mutation:
        proto = onnx.load_model_from_string(bases["boxes"].model)
        change(proto)
        data = proto.SerializeToString()
        return Mutation(
            f"boxes_{name}", "boxes", word, reason, _put("model", sha256(data)),
            lambda files: files.__setitem__("model", data),
        )  # fmt: skip

    def weights(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
        def change(proto: onnx.ModelProto) -> None:
            tensor = proto.graph.initializer[0]
            array = function(numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

        return change

    yield model("weights_scaled", "rejected", "not refuted", weights(lambda w: w * np.float32(1.5)))
    yield model("weights_nan", "malformed", "finite", weights(lambda w: w * np.float32(np.nan)))
    yield model("weights_huge", "rejected", "", weights(lambda w: w * np.float32(1e30)))
    retyped = lambda kind: lambda proto: setattr(proto.graph.node[1], "op_type", kind)  # noqa: E731
    yield model("unknown_op", "unsupported", "operator", retyped("Sigmoid"))
    yield model("relu_left_out", "rejected", "", retyped("Identity"))
    yield model("other_domain", "malformed", "", lambda proto: setattr(proto.graph.node[1], "domain", "mine"))
    yield model("factor", "unsupported", "factors", _with_attribute(0, "alpha", 2.0))
    yield model("unknown_attribute", "malformed", "", _with_attribute(1, "speed", 2.0))
    yield model("old_opset", "unsupported", "operator set", lambda p: setattr(p.opset_import[0], "version", 6))
    yield Mutation(
        "boxes_model_truncated", "boxes", "malformed", "ONNX", files=lambda f: f.__setitem__("model", f["model"][:100])
    )


def _with_attribute(node: int, name: str, value: float) -> Callable[[onnx.ModelProto], None]:
    return lambda proto: proto.graph.node[node].attribute.append(helper.make_attribute(name, value))


def apply(mutation: Mutation, base: Base, contents: Contents) -> tuple[Files, Contents]:
    """The problem's files and the contents after the mutation."""
    files = {"model": base.model, "spec": base.spec.encode()}
    changed = contents.copy()
    mutation.change(changed)
    mutation.files(files)
    return files, changed


def dumps(entries: dict[str, Any]) -> str:
    return json.dumps(entries, indent=1, sort_keys=True) + "\n"
