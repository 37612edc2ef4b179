"""One station's life in a process of its own: look at the chain, do what is due, say so, wait for the others.

Whatever it knows is read from the chain, so it may be killed at any moment and started again.
"""

from __future__ import annotations

from time import monotonic, perf_counter

from chain.errors import ContractRevertError, RecordError, UndoneError
from chain.station import Due, Step, Unsettled
from chain.values import RoundState, RoundStatus
from fl.errors import FlError
from fl.station_trainer import Evaluation
from scripts.connections import Network
from scripts.station_parts import LocalStation
from scripts.told import Tell, Told
from scripts.waiting import Consortium, Wait, waiting_for
from twins.canonical import Json
from twins.errors import TwinsError
from twins.manifest import TwinModelManifest
from twins.types import Digest, TwinId

_POLL = 0.2  # seconds between looks at a development node's height; other chains have a block now and then
_LOOK = 1.0  # seconds between full looks at a development node that is past a deadline: nobody mines there
_QUIET = 2.0  # seconds that a wait takes before it is worth a line
_SLOWEST = 5.0  # seconds between attempts at what fails
_STUBBORN = 10.0  # seconds until evidence that was wrong is fetched again, if nothing else has changed
_REFUSALS = 10  # in a row, of steps that were due when they were prepared


class StationLoop:
    """Follows one twin with one station until the head is at a round, or for ever."""

    def __init__(self, network: Network, station: LocalStation, until: int | None, tell: Tell) -> None:
        """Do nothing yet.

        Args:
            network: the consortium.
            station: that follows.
            until: round of the head at which to stop; None: never.
            tell: told every line.
        """
        self._network, self._station, self._until, self._tell = network, station, until, tell
        self._head: Digest | None = None
        self._said: str | None = None  # the wait that was told last, until something else happened
        self._waits: tuple[str, float] = ("", 0.0)  # for what, since when
        self._failures = 0  # in a row
        self._complaint: tuple[RoundState, float] | None = None  # in which situation it doesn't attest, since when

    @property
    def _twin(self) -> TwinId:
        return self._station.follower.twin

    def run(self) -> None:
        """Follow.

        Raises:
            ChainError, TwinsError, FlError: it can't go on, and patience is over.
        """
        began = monotonic()
        while True:
            try:
                seen = self._network.chain.block_number()
                if self._reached():
                    self._network.chain.settle()
                    return
                due = self._act()
                began, self._failures = monotonic(), 0
                if not isinstance(due, Due):
                    self._wait(seen, due)  # which looks after what was sent
            except (ContractRevertError, UndoneError) as error:
                self._again(error)
            except (TwinsError, FlError) as error:
                if not self._bear(error, began):
                    raise

    def _reached(self) -> bool:
        head = self._network.ledger.head(self._twin)
        if head.model != self._head:
            self._head = head.model
            self._tell_head(head.number, head.model)
        if self._until is None or head.number < self._until:
            return False
        settled = self._network.ledger.head(self._twin, self._network.chain.settled_block())
        return settled.number >= self._until

    def _act(self) -> Due | Unsettled | None:
        """Do what is due, if anything; return it."""
        state = self._state()
        if self._complaint is not None and self._complaint[0] == state and monotonic() < self._complaint[1] + _STUBBORN:
            return None  # whoever looks again would find the same
        last = state.number + 1
        if self._until is not None:
            # An aborted round has used up its number, so the next takes its place.
            last = max(self._until, last) if state.status is RoundStatus.ABORTED else self._until
        clock = perf_counter()
        try:
            due = self._station.follower.due(last)
        except RecordError as error:
            self._complain(error)
            return None
        if isinstance(due, Due):
            self._tell_step(due.record(), perf_counter() - clock)
        return due

    def _state(self) -> RoundState:
        return self._station.follower.state()

    def _consortium(self) -> Consortium:
        registry = self._network.registry
        active, producers = registry.station_sets()
        return Consortium(registry.stations(), active, producers, registry.twin_of(self._twin).policy.open_grace)

    def _tell_step(self, step: Step, seconds: float) -> None:
        self._said, self._complaint = None, None
        gas = step.receipt.gas_used
        digest = "" if step.digest is None else f" {step.digest}"
        words = f"round {step.round}: {step.action.value}{digest} ({gas:,} gas, {seconds:.1f} s)"
        values: dict[str, Json] = {"digest": step.digest, "gas": gas, "seconds": round(seconds, 3)}
        self._tell(Told(step.action.value, step.round, words, values))

    def _tell_head(self, number: int, digest: Digest) -> None:
        """Say that there is a new head, and how good it is on this station's devices."""
        self._said = None
        follower = self._station.follower
        manifest = follower.archive.manifest(TwinModelManifest, digest)
        evaluation: Evaluation | None = None
        try:
            evaluation = self._station.evaluate(follower.base_model(digest))
        except FlError as error:
            self._tell(Told("failed", number, f"round {number}: {error}", {"why": str(error)}))
        accuracy = "" if evaluation is None else f", accuracy {evaluation.accuracy:.3f} on this station's devices"
        count = len(manifest.updates)
        words = f"round {number}: head {digest}, {count} station{'' if count == 1 else 's'}{accuracy}"
        values: dict[str, Json] = {"model": digest, "parent": manifest.parent, "stations": count}
        self._tell(
            Told("head", number, words, values | {"evaluation": None if evaluation is None else evaluation.to_json()})
        )

    def _complain(self, error: RecordError) -> None:
        """Say once why this station doesn't attest; others may outvote whoever is wrong, or the evidence turns up."""
        state = self._state()
        self._complaint = (state, monotonic())
        if self._said != str(error):
            self._said = str(error)
            self._tell(Told("refused", state.number, str(error), {"why": str(error)}))

    def _again(self, error: ContractRevertError | UndoneError) -> None:
        """Look again: somebody was faster, or a reorganisation undid what the step was based on."""
        self._failures += 1
        if self._failures == _REFUSALS:
            raise error
        if self._failures > 1:  # once is how a race ends
            number = self._state().number
            self._tell(Told("again", number, f"round {number}: looking again: {error}", {"why": str(error)}))
        self._pause()

    def _bear(self, error: Exception, began: float) -> bool:
        """Say that something failed that can be done again, and wait a little; False when patience is over."""
        if monotonic() - began > self._network.chain.patience:
            return False
        self._failures += 1
        if self._said != str(error):
            self._said = str(error)
            number = self._state().number
            self._tell(Told("failed", number, f"round {number}: {error} Trying again", {"why": str(error)}))
        self._pause()
        return True

    def _pause(self) -> None:
        self._network.chain.sleep(min(_POLL * 2 ** min(self._failures, 10), _SLOWEST))

    def _wait(self, seen: int, due: Unsettled | None) -> None:
        """Wait until the chain has gone on, or a deadline is over; say for whom if it takes long."""
        network, now = self._network, monotonic()
        if due is not None:
            depth = network.chain.confirmations
            wait = Wait(f"round {due.round}: waiting for {depth} blocks on top of what is to be attested to")
        else:
            wait = waiting_for(self._state(), self._consortium(), self._station.account.address)
        if self._waits[0] != wait.words:
            self._waits = (wait.words, now)
        if self._complaint is None:
            self._tell_wait(wait, now)
        if network.chain.confirmations:
            network.chain.await_block()
            return
        while network.chain.block_number() == seen:
            overdue = wait.until is None or self._station.follower.now() >= wait.until
            if monotonic() - now > (_LOOK if overdue else _QUIET):
                break
            network.chain.sleep(_POLL)

    def _tell_wait(self, wait: Wait, now: float) -> None:
        if now - self._waits[1] < _QUIET or self._said == wait.words:
            return
        self._said = wait.words
        number = self._state().number
        missing: list[Json] = list(wait.missing)
        self._tell(Told("waiting", number, wait.words, {"missing": missing, "until": wait.until, "why": wait.words}))
