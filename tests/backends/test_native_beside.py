"""The process that looks for counterexamples: what it finds counts, and it never outlives the first."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from certify.backends import native_beside
from certify.backends.native_beside import Falsifier, FalsifierBeside
from certify.backends.second_process import SecondProcess, Send
from certify.errors import NumericalError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork as soon as there is anything to share."""
    monkeypatch.setattr(native_beside, "FALSIFY_AFTER", 0.0)


def test_points_of_the_other_process_are_offered() -> None:
    def work() -> Iterator[np.ndarray]:
        yield np.zeros((0, 2))
        yield np.full((1, 2), 7.0)

    offered: list[np.ndarray] = []
    with FalsifierBeside(lambda points: offered.append(points), work) as (accept, helper):
        assert helper is None
        while not any((points == 7.0).all() for points in offered):
            accept(np.zeros((1, 2)))
    assert any((points == 0.0).all() for points in offered)


def test_a_broken_helper_is_no_loss_and_a_busy_one_is_ended() -> None:
    def broken() -> Iterator[np.ndarray]:
        raise RuntimeError
        yield

    def busy() -> Iterator[np.ndarray]:
        while True:
            time.sleep(0.01)
            yield np.zeros((0, 1))

    for work in (broken, busy):
        falsifier = FalsifierBeside(lambda points: "witness" if len(points) else None, work)
        with falsifier as (accept, _):
            assert accept(np.zeros((0, 1))) is None
            assert accept(np.zeros((1, 1))) == "witness"
        assert falsifier._other is not None
        assert falsifier._other.ended


def test_without_another_process_the_work_is_done_in_between() -> None:
    def work() -> Iterator[np.ndarray]:
        yield np.zeros((0, 2))
        yield np.full((1, 2), 7.0)

    offered: list[np.ndarray] = []
    with Falsifier(lambda points: offered.append(points), work) as (accept, _):
        while not any((points == 7.0).all() for points in offered):
            accept(np.zeros((1, 2)))


def test_work_that_breaks_down_in_between_is_no_loss() -> None:
    def broken() -> Iterator[np.ndarray]:
        raise NumericalError("not a number")
        yield

    with Falsifier(lambda points: "witness" if len(points) else None, broken) as (accept, _):
        for _ in range(3):
            assert accept(np.zeros((0, 1))) is None
        assert accept(np.zeros((1, 1))) == "witness"


def test_messages_come_in_order_and_nothing_is_not_sent() -> None:
    def work(send: Send) -> None:
        for message in (1, None, "two", np.arange(3)):
            send(message)

    other, found = SecondProcess(work), []
    while len(found) < 3:
        found.extend(other.received(wait=0.1))
    other.end()
    assert found[:2] == [1, "two"]
    np.testing.assert_array_equal(found[2], [0, 1, 2])
