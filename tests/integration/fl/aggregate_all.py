"""Prints a digest of what every rule makes of the same updates: run by `test_processors`."""

from __future__ import annotations

import numpy as np

from fl.privacy import PrivacySpec
from fl.strategies import StrategySpec
from fl.tier1 import Aggregator
from twins.model import TwinModel
from twins.types import address_of_bytes, sha256_digest
from twins.updates import NOISE, DeviceUpdate

DEVICES, WEIGHTS = 10, 20_000
SPECS = (
    StrategySpec("FedAvg"),
    StrategySpec("FedAdam"),
    StrategySpec("QFedAvg", {"client_learning_rate": 0.1}),
    StrategySpec("MultiKrum", {"num_malicious_nodes": 1, "num_nodes_to_select": 3}),
    StrategySpec("Bulyan", {"num_malicious_nodes": 1}),
    StrategySpec("FedMedian"),
    StrategySpec("FedTrimmedAvg", {"beta": 0.2}),
    StrategySpec("twinledger/median"),
    StrategySpec("twinledger/trimmed-mean", {"trim": 0.2}),
    StrategySpec("twinledger/multi-krum", {"malicious": 1, "select": 3}),
    *(
        StrategySpec("FedAvg", {}, PrivacySpec(kind, {"noise_multiplier": 0.2, **arguments}))
        for kind, arguments in {
            "fixed": {"clipping_norm": 1.0},
            "adaptive": {"initial_clipping_norm": 1.0},
            "client": {"clipping_norm": 100.0},
        }.items()
    ),
)


def main() -> None:
    random = np.random.default_rng(0)
    arrays = (0.1 * random.normal(size=(DEVICES, WEIGHTS))).astype(np.float32)
    updates = [
        DeviceUpdate(
            address_of_bytes(bytes([index]) * 20),
            10 + index,
            DeviceUpdate.encode_payload(TwinModel({"w": array}), {"train_loss": 1.0 + index}),
            b"",
        )
        for index, array in enumerate(arrays)
    ]
    base = TwinModel({"w": np.zeros(WEIGHTS, np.float32)})
    for spec in SPECS:
        noise = b"" if spec.privacy is None else bytes(range(NOISE))
        aggregator = Aggregator(spec)
        for number in (1, 2):  # some carry state from the first to the second
            result = aggregator.aggregate(number, base, updates, noise)
        print(spec.name, spec.privacy and spec.privacy.kind, sha256_digest(result.to_bytes()))


if __name__ == "__main__":
    main()
