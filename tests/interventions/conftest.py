"""One thread: two that wait for each other on a busy machine make these small trainings many times slower."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
