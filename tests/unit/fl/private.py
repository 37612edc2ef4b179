"""One privacy of each kind, for small stations."""

from __future__ import annotations

import hashlib

import numpy as np

from fl.privacy import PrivacySpec
from fl.strategies import StrategySpec
from twins.model import TwinModel

FIXED = PrivacySpec("fixed", {"noise_multiplier": 0.1, "clipping_norm": 0.5})
ADAPTIVE = PrivacySpec("adaptive", {"noise_multiplier": 0.1, "initial_clipping_norm": 0.5, "clipped_count_stddev": 0.4})
CLIENT = PrivacySpec("client", {"noise_multiplier": 0.1, "clipping_norm": 0.5})
KIND = [FIXED, ADAPTIVE, CLIENT]
ZERO = TwinModel({"w": np.zeros(1000, np.float32)})


def name_of(value: StrategySpec | PrivacySpec) -> str:
    return value.kind if isinstance(value, PrivacySpec) else f"{value.name} {value.privacy and value.privacy.kind}"


def seed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
