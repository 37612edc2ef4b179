"""Prints a digest of what every rule makes of the same updates: run by `test_processors`."""

from __future__ import annotations

import numpy as np

from fl.strategies import StrategySpec
from fl.tier1 import Aggregator
from twins.model import TwinModel
from twins.types import address_of_bytes, sha256_digest
from twins.updates import DeviceUpdate

DEVICES, WEIGHTS = 10, 20_000
SPECS = (
    StrategySpec("FedAvg"),
    StrategySpec("FedAdam"),
    StrategySpec("QFedAvg", {"client_learning_rate": 0.1}),
    StrategySpec("MultiKrum", {"num_malicious_nodes": 1, "num_nodes_to_select": 3}),
    StrategySpec("Bulyan", {"num_malicious_nodes": 1}),
    StrategySpec("FedMedian"),
    StrategySpec("FedTrimmedAvg", {"beta": 0.2}),
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
        print(spec.name, sha256_digest(Aggregator(spec).aggregate(1, base, updates).to_bytes()))


if __name__ == "__main__":
    main()
