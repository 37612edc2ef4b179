"""One station's part in the audit: its value of every slot's seed, its lanes, what it holds, and a look at claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chain.accounts import Account
from chain.audit_values import Phase
from chain.beacons import BeaconPart
from chain.clock import Moment, SlotClock
from chain.errors import ChainError, ChainUnreachableError, PDPDataError
from chain.holder import Holder, stand_in_of
from chain.round_ledger import RoundLedger
from chain.slot_steps import SlotAction, SlotStep
from chain.sync_audit import SyncAudit
from chain.tagger import Tagger, TaggingKeys
from chain.twin_registry import TwinRegistry
from chain.watcher import ClaimWatcher
from twins.archive import Archive
from twins.errors import TwinsError
from twins.holding import Holding
from twins.types import TwinId

_Part = Callable[[Moment], SlotStep | list[SlotStep] | None]


@dataclass
class Possession:
    """What one station does in every slot.

    Attributes:
        beacon: its part in the seed.
        taggers: its lanes, by twin.
        holders: its own account, and the pseudonym that stands in for it in its own lane.
        watcher: recomputes other people's claims.
        clock: of the audit.
    """

    beacon: BeaconPart
    taggers: tuple[Tagger, ...]
    holders: tuple[Holder, ...]
    watcher: ClaimWatcher
    clock: SlotClock
    _said: set[str] = field(default_factory=set, repr=False)
    _idle: dict[int, tuple[int, Phase]] = field(default_factory=dict, repr=False)  # part to when it had nothing to do

    @classmethod
    def of(
        cls,
        twins: tuple[TwinId, ...],
        account: Account,
        registry: TwinRegistry,
        ledger: RoundLedger,
        audit: SyncAudit,
        since: int,
        archive: Archive,
        holding: Holding,
        keys: TaggingKeys,
        progress: Callable[[int], None] = lambda blocks: None,
    ) -> Possession:
        """Put a station's part together; nothing is sent.

        Args:
            twins: that it tags, where the twin's policy lets it.
            account: the station's.
            registry: of the consortium.
            ledger: of the consortium.
            audit: of the consortium.
            since: block of the deployment.
            archive: where everybody's artifacts are.
            holding: the station's own copies.
            keys: its tagging keys.
            progress: told as blocks are tagged.
        """
        clock, stand_in = SlotClock(audit), stand_in_of(account, audit.address)
        taggers = tuple(
            Tagger(twin, account, registry, ledger, audit, clock, archive, keys, stand_in.address, progress)
            for twin in twins
        )
        holders = tuple(
            Holder(holder, account, ledger, audit, since, archive, holding) for holder in (account, stand_in)
        )
        watcher = ClaimWatcher(account, audit, since)
        return cls(BeaconPart(audit, account), taggers, holders, watcher, clock)

    def step(self) -> list[SlotStep]:
        """Look at the clock, and do what is due. What fails is told, and done again at the next look.

        Raises:
            ChainUnreachableError: no node answers.
        """
        moment = self.clock.read()
        steps: list[SlotStep] = []
        for name, part in self._due(moment):
            try:
                done = part(moment)
            except ChainUnreachableError:
                raise
            except (ChainError, TwinsError, PDPDataError) as error:
                if str(error) not in self._said:
                    self._said.add(str(error))
                    words = f"slot {moment.slot}: {error} Looking again"
                    steps.append(SlotStep(SlotAction.FAILED, moment.slot, words, (), None, {"why": str(error)}))
                continue
            made = done if isinstance(done, list) else [] if done is None else [done]
            steps += made
            if not made and not any(holder.waiting for holder in self.holders):
                self._idle[name] = (moment.slot, moment.phase)
        return steps

    def _due(self, moment: Moment) -> Iterator[tuple[int, _Part]]:
        """Yield the parts that may have something to do: those that had nothing to in this phase are left alone.

        A tagger looks at the head at any time, and that is all it reads.
        """
        once: list[_Part] = [self.beacon.step, *(holder.step for holder in self.holders)]
        timing = self.clock.timing
        # One look in the next phase is early enough, unless what is claimed in this one can't be disputed by then.
        if timing.dispute_seconds > timing.prove_seconds + timing.closed_seconds:
            once.append(self.watcher.step)
        else:
            yield len(once), self.watcher.step
        for number, part in enumerate(once):
            if self._idle.get(number) != (moment.slot, moment.phase):
                yield number, part
        for number, tagger in enumerate(self.taggers):
            yield -1 - number, tagger.step
