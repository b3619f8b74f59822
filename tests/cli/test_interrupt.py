"""Ctrl-C: commands with an interval answer with what they have, campaigns say where it is."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundled import HOLDS, MODEL

from certify.cli.watch import SIGNALS, answering_early
from certify.settings import Budget

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals are for the main thread"
)


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Signals that count, whatever started the tests ignores (a shell does so for what it runs in the background)."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_signal_ends_budgets_and_the_second_the_command(capfd) -> None:
    budget = Budget.starting_now(1000.0)
    before = signal.getsignal(signal.SIGINT)
    with answering_early():
        assert not budget.expired()
        signal.raise_signal(signal.SIGINT)
        assert budget.expired()
        assert budget.remaining() == 0.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert not budget.expired()
    assert signal.getsignal(signal.SIGINT) is before
    assert capfd.readouterr().err.count("interrupted") == 1


@pytest.mark.parametrize(
    "command",
    [
        ("probability", MODEL, HOLDS, "--law", "uniform", "--gap", "0", "--timeout", "1000", "--samples", "0"),
        ("trigger", MODEL, "--data", "digits:test", "--patch", "2x2", "--count", "2", "--timeout", "1e3"),
        ("radius", MODEL, "--data", "digits:test", "--count", "2", "--timeout", "1e3"),
    ],
)  # fmt: skip
def test_an_interrupted_interval_is_written(certify, monkeypatch, tmp_path: Path, command: tuple) -> None:
    real, sent = Budget.expired, []

    def expired(self: Budget) -> bool:
        if not sent:
            sent.append(1)
            signal.raise_signal(signal.SIGINT)
        return real(self)

    monkeypatch.setattr(Budget, "expired", expired)
    result = certify(*command, "--json", tmp_path / "found.json")
    assert sent
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "found.json").read_text())


def test_an_interrupted_comparison_says_where_it_is(certify, monkeypatch, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("certify.compare.comparison.run", interrupt)
    result = certify("compare", f"a={MODEL}", f"b={MODEL}", "--specs", HOLDS, "--out", tmp_path / "runs")
    assert result.exit_code == 130
    assert f"{tmp_path / 'runs'}: what is done is kept; --resume goes on" in result.stderr
    assert "certify: interrupted" in result.stderr
