"""Cuts as they are proposed to a brancher that did not choose them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# What `sides` says of a domain that a cut divides.
BOTH = -1


class Cuts(NamedTuple):
    """One cut for each of a batch of domains: at `point` of flat element `element`, [batch] each.

    value: [batch] of which hidden value, "" for the network's inputs. Elements are those of the network as it was read.
    """

    value: np.ndarray
    element: np.ndarray
    point: np.ndarray
