"""Everything that can go wrong in federated learning.

::

    FlError
    ├── DataError                 data that can't be used: wrong checksum, too few devices, bad split
    │   └── UnknownDatasetError
    ├── StrategyError             unknown strategy, arguments it doesn't take, too few devices for it
    ├── EngineError               a device didn't answer, or its training raised
    └── UpdateRejectedError       (device) an update that must not be aggregated
        └── NonFiniteUpdateError  NaN or infinity in it
"""

from __future__ import annotations


class FlError(Exception):
    """Root of all errors that `fl` raises."""


class DataError(FlError):
    """A data set that can't be used as asked."""


class UnknownDatasetError(DataError):
    """No data set of that name."""


class StrategyError(FlError):
    """A strategy that can't be used as asked."""


class EngineError(FlError):
    """A device didn't answer, or its training raised."""


class UpdateRejectedError(FlError):
    """An update that must not be aggregated.

    Attributes:
        device: account or name of the device.
    """

    def __init__(self, device: str, reason: str) -> None:
        """Name the device and say why."""
        super().__init__(f"update of device {device} rejected: {reason}")
        self.device = device


class NonFiniteUpdateError(UpdateRejectedError):
    """NaN or infinity in a device's update."""
