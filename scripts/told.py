"""What a station's process says, line by line: words for people, JSON for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


def lines_since(file: Path, start: int) -> tuple[int, list[dict[str, Any]]]:
    """Return how far a file of such lines has been read now, and the whole lines from byte ``start`` to there."""
    end, whole = whole_since(file, start)
    lines = []
    for line in whole.splitlines():
        with suppress(ValueError):  # cut off where its writer was killed
            lines.append(json.loads(line))
    return end, lines


def whole_since(file: Path, start: int) -> tuple[int, bytes]:
    """Return how far a file that grows has been read now, and its whole lines from byte ``start`` to there."""
    with file.open("rb") as stream:
        stream.seek(start)
        data = stream.read()
    whole = data[: data.rfind(b"\n") + 1]  # somebody may be writing just now
    return start + len(whole), whole


def slot_told(step: SlotStep) -> Told:
    """Return the line of a step of the possession check."""
    gas = None if step.receipt is None else step.receipt.gas_used
    values: dict[str, Json] = {"action": step.action.value, "slot": step.slot, "twins": list(step.twins), "gas": gas}
    words = step.words if gas is None else f"{step.words} ({gas:,} gas)"
    return Told("slot", None, words, values | dict(step.values))
