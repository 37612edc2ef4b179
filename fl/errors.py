"""Everything that can go wrong in federated learning.

::

    FlError
    ├── DataError             data that can't be used: wrong checksum, too few devices, bad split
    │   └── UnknownDatasetError
    ├── StrategyError         unknown strategy, arguments it doesn't take, too few devices for it
    ├── EngineError           no device's update could be used, or no device could test a model
    └── UpdateRejectedError   (device, reason, detail)   an update that must not be aggregated
"""

from __future__ import annotations

from twins.entries import RejectionReason


class FlError(Exception):
    """Root of all errors that `fl` raises."""


class DataError(FlError):
    """A data set that can't be used as asked."""


class UnknownDatasetError(DataError):
    """No data set of that name."""


class StrategyError(FlError):
    """A strategy that can't be used as asked."""


class EngineError(FlError):
    """No device of a station did what was asked."""


class UpdateRejectedError(FlError):
    """An update that must not be aggregated.

    Attributes:
        device: its account.
        reason: why.
        detail: more of it: expected, got.
    """

    def __init__(self, device: str, reason: RejectionReason, detail: str) -> None:
        """Name the device and say why."""
        super().__init__(f"update of device {device} rejected ({reason}): {detail}")
        self.device = device
        self.reason = reason
        self.detail = detail
