"""Worst triggers against random ones: no random trigger may do worse than what is proven, at any position.

    python vnncomp/worst_triggers.py MODEL --data digits:test [--patch 2] [--target 0] [--random 20000] [--timeout 60]

Prints for each position U* as [attained, proven], the best of the random triggers (by our graph, in float64), and how
many images are proven never to be sent to the target. Exit code 1 where a random trigger exceeds the proven end.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time

import numpy as np

import certify
from certify.dataset import read_dataset
from certify.quantities.absence import PROVED
from certify.quantities.classifier import Classifier
from certify.quantities.patch import Patch, places
from certify.quantities.site import Plan, Site

AT_ONCE = 200


def best_of_random(classifier: Classifier, rows: np.ndarray, plan: Plan, site: Site, count: int) -> float:
    """The largest share of the site's samples that one of so many random triggers sends to the target."""
    rng = np.random.default_rng(0)
    patch = Patch(classifier, rows[site.numbers], places(plan.shape, plan.patch, site.position))
    every, best = np.arange(len(site.numbers)), 0.0
    for _ in range(0, count, AT_ONCE):
        t = rng.uniform(plan.low, plan.high, (AT_ONCE, patch.d)).astype(np.float32).astype(np.float64)
        scores = patch.scores(np.tile(every, AT_ONCE), np.repeat(t, len(every), axis=0))
        best = max(best, float((scores.argmax(axis=1) == site.target).reshape(AT_ONCE, -1).mean(axis=1).max()))
    return best


def main() -> int:
    """Print the table; 1 where a proof is contradicted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", default="digits:test")
    parser.add_argument("--patch", type=int, default=2)
    parser.add_argument("--target", type=int, default=0)
    parser.add_argument("--random", type=int, default=20_000)
    parser.add_argument("--timeout", type=float, default=60.0)
    options = parser.parse_args()
    started = time.process_time()
    size = (options.patch, options.patch)
    found = certify.trigger(
        options.model, options.data, patch=size, target=options.target, timeout=options.timeout
    )  # fmt: skip
    cpu = time.process_time() - started
    classifier = Classifier(options.model)
    rows = classifier.rows(read_dataset(options.data))
    wrong = 0
    for site in found.sites:
        best = best_of_random(classifier, rows, found.plan, site, options.random)
        wrong += best > site.worst.upper
        ends = f"[{site.worst.lower:.3f}, {site.worst.upper:.3f}]"
        place = f"{site.position[0]},{site.position[1]}"
        print(f"{place:>7} U* in {ends}  random {best:.3f}  never {site.share(PROVED):.3f}")
    exact = sum(site.worst.gap == 0.0 for site in found.sites)
    print(f"gap 0 at {exact} of {len(found.sites)} positions, {found.seconds:.1f} s, {cpu:.1f} s of a core")
    print(f"random triggers exceed what is proven at {wrong} positions")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
