"""The garbage collector, told that what a round makes is kept until its end."""

from __future__ import annotations

import gc

_DEFAULT = (700, 10, 10)  # of CPython to 3.12
_RARELY = (50_000, 20, 10)


def collect_rarely() -> None:
    """Look for cycles after 50,000 new objects, not after 700.

    A round makes some hundred objects a device, which live until it is recorded and are in no cycles. Looking through
    them again and again took a tenth of the time. A program that has chosen for itself is left alone.
    """
    if gc.get_threshold() == _DEFAULT:
        gc.set_threshold(*_RARELY)
