"""`python -m certify.checker MODEL SPEC CERT`: accepted (exit code 0), rejected (1), malformed (2), unsupported (3)."""

import argparse
import sys
from pathlib import Path

from certify.checker.outcome import Refusal


def main(arguments: list[str] | None = None) -> int:
    """Check, print one word and the reason, return the exit code."""
    parser = argparse.ArgumentParser(prog="certify.checker", description="Check a certificate of certify.")
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("spec", type=Path, help="the VNN-LIB file")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--exact", action="store_true", help="compute with fractions (small networks only)")
    given = parser.parse_args(arguments)
    try:
        from certify.checker.check import check

        found = check(given.model, given.spec, given.certificate, given.exact)
    except Refusal as error:
        print(f"{error.word}\n{error}")
        return error.code
    except (RecursionError, MemoryError):
        print("unsupported\nexpressions are nested too deeply, or there is not enough memory for this network")
        return 3
    print(f"accepted\n{found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
