"""What a station's process says, line by line: words for people, JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chain.slot_steps import SlotStep
from twins.canonical import Json


@dataclass(frozen=True)
class Told:
    """One line of a station's output.

    Attributes:
        event: what kind; an `Action`'s value, or ``head``, ``waiting``, ``refused``, ``failed``, ``again``;
            ``slot`` of a possession check.
        round: which one; of a possession check None.
        words: for people.
        values: for programs, beside these.
    """

    event: str
    round: int | None
    words: str
    values: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values."""
        return {"time": round(time.time(), 3), "event": self.event, "round": self.round, **self.values}


Tell = Callable[[Told], None]


def slot_told(step: SlotStep) -> Told:
    """Return the line of a step of the possession check."""
    gas = None if step.receipt is None else step.receipt.gas_used
    values: dict[str, Json] = {"action": step.action.value, "slot": step.slot, "twins": list(step.twins), "gas": gas}
    words = step.words if gas is None else f"{step.words} ({gas:,} gas)"
    return Told("slot", None, words, values | dict(step.values))
