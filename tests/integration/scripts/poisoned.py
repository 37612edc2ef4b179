"""The tiny data set with one value that isn't a number: training on it gives an update full of NaN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fl.datasets import Partition
from tests.integration.audit.tiny import DATASET as TINY


def _partition(split: str, devices: int) -> tuple[Partition, ...]:
    parts = list(TINY.partition(split, devices))
    poisoned = parts[-1].train_x.copy()
    poisoned[0, 0] = np.nan
    parts[-1] = replace(parts[-1], train_x=poisoned)
    return tuple(parts)


DATASET = replace(TINY, name="poisoned", partition=_partition)
