"""The word from outside that ends a run early: Ctrl-C.

The one thing that is not passed as an argument, because a signal has nobody to pass it to.
"""

from __future__ import annotations

from threading import Event

# While it is set, every budget of time counts as used up.
INTERRUPTED = Event()
