"""The chain's time as everybody's clock: slots and phases, skew against this machine, and chains that stand still.

What happens in a slot depends on the time of blocks alone. This machine's own clock decides nothing: it only guesses
how long to wait before it is worth looking again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chain.audit_values import Phase, Timing
from chain.connection import Chain
from chain.errors import ChainStalledError
from chain.sync_audit import SyncAudit


@dataclass(frozen=True)
class Moment:
    """One reading of the clock.

    Attributes:
        time: of the chain, Unix seconds.
        slot: of that time.
        phase: of that slot.
        left: seconds to the end of the phase.
        skew: seconds that the chain is behind this machine; negative if it is ahead. A block's time is that of its
            making, so a healthy chain is behind by up to its block period.
        block: newest number.
    """

    time: int
    slot: int
    phase: Phase
    left: int
    skew: float
    block: int


class SlotClock:
    """Tells the slot of now, and waits for phases.

    Attributes:
        chain: whose time.
        genesis: Unix seconds at which slot 0 began.
        timing: lengths of the phases.
    """

    def __init__(self, audit: SyncAudit, now: Callable[[], float] = time.time) -> None:
        """Read what never changes: when slot 0 began, and the lengths of the phases.

        Args:
            audit: whose slots.
            now: this machine's clock, Unix seconds.
        """
        self.chain: Chain = audit.chain
        self.genesis = audit.genesis_time()
        self.timing: Timing = audit.timing()
        self._now = now

    def read(self) -> Moment:
        """Look at the newest block.

        On a development node, which mines no block while nobody sends, it is the pending one.
        """
        block = self.chain.block_number()
        stamp = self.chain.timestamp(None if self.chain.confirmations else "pending")
        slot, phase, left = self.at(stamp)
        return Moment(stamp, slot, phase, left, self._now() - stamp, block)

    def at(self, stamp: int) -> tuple[int, Phase, int]:
        """Return slot, phase and seconds left in the phase of a time, as the contract derives them.

        Raises:
            ValueError: a time before slot 0.
        """
        if stamp < self.genesis:
            raise ValueError(f"time {stamp}: expected {self.genesis} or later")
        timing = self.timing
        slot, within = divmod(stamp - self.genesis, timing.slot_seconds)
        lengths = (
            (Phase.OPEN, timing.open_seconds),
            (Phase.SEALED, timing.seal_seconds),
            (Phase.PROVING, timing.prove_seconds),
            (Phase.CLOSED, timing.closed_seconds),
        )
        for phase, length in lengths:
            if within < length:
                return slot, phase, length - within
            within -= length
        raise AssertionError("phases shorter than their slot")

    def start_of(self, slot: int, phase: Phase = Phase.OPEN) -> int:
        """Return when a phase of a slot begins, Unix seconds."""
        timing = self.timing
        before = {
            Phase.OPEN: 0,
            Phase.SEALED: timing.open_seconds,
            Phase.PROVING: timing.open_seconds + timing.seal_seconds,
            Phase.CLOSED: timing.open_seconds + timing.seal_seconds + timing.prove_seconds,
        }
        return self.genesis + slot * timing.slot_seconds + before[phase]

    def wait_until(self, stamp: int, notice: Callable[[Moment], None] = lambda moment: None) -> Moment:
        """Wait until the chain's time has come to ``stamp``.

        Args:
            stamp: Unix seconds.
            notice: told at every look.

        Raises:
            ChainStalledError: no new block for longer than the chain's patience. Time goes on without blocks: who
                could not prove because the chain stood still has failed its slot, and the report says so.
        """
        newest, seen = -1, time.monotonic()
        while True:
            moment = self.read()
            notice(moment)
            if moment.time >= stamp:
                return moment
            if moment.block != newest:
                newest, seen = moment.block, time.monotonic()
            patience = max(self.chain.patience, 60.0)
            if self.chain.confirmations and time.monotonic() - seen > patience:
                raise ChainStalledError(self.chain.url, moment.block, patience)
            # Half of what is missing, by this machine's clock: a wrong one costs looks, nothing else.
            time.sleep(min(max((stamp - moment.time) / 2, 0.1), 2.0))
