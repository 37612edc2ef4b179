"""Drives the real contracts and their model with the same random calls, and compares after each.

Who chooses is left open: hypothesis in CI (`test_fuzz_ledger`), a seeded generator in benchmarks/fuzz_ledger.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.connection import Chain
from chain.deployment import deploy_contracts, open_contracts
from chain.errors import ContractRevertError
from chain.events import LEDGER_EVENTS, REGISTRY_EVENTS, decode_events
from chain.values import Governance, RoundPolicy, RoundStatus
from tests.integration.chain.dispute_model import DisputeModel
from tests.integration.chain.fuzz_calls import Call, Calls
from tests.integration.chain.registry_model import RegistryModel, bits
from twins.contribution import SigningDomain
from twins.types import ZERO_DIGEST, TwinId, sha256_digest, twin_id

T = TypeVar("T")
Choose = Callable[[Sequence[object]], object]

GOVERNANCE = Governance(epoch=600, min_seats=2)
POLICIES = (RoundPolicy(60, 60, 1, 0), RoundPolicy(60, 90, 2, 40))
PAUSES = (1, 1, 1, 1, 1, 1, 1, 2, 7, 31, 61, 130)  # seconds between two blocks


class DifferenceError(AssertionError):
    """Contract and model disagree."""


class Fuzz:
    """A fresh deployment, its model, and what has been called.

    Attributes:
        steps: calls made.
        calls: of each kind, those that went through.
        refusals: by error.
    """

    def __init__(self, chain: Chain) -> None:
        """Deploy; five stations and two twins, as every test of the ledger would."""
        self.chain = chain
        self.steps = 0
        self.calls: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        people = tuple(Account.from_mnemonic(HARDHAT_MNEMONIC, index) for index in range(9))
        self.admin = people[0]
        deployment, _ = deploy_contracts(chain, self.admin, governance=GOVERNANCE)
        self.registry, self.ledger = open_contracts(chain, deployment)
        model = RegistryModel(self.admin.address, GOVERNANCE)
        self.model = DisputeModel(model, SigningDomain(chain.chain_id, self.ledger.address))
        self.now = chain.timestamp()
        self.twins = (twin_id("fuzz-1"), twin_id("fuzz-2"))
        for twin, policy in zip(self.twins, POLICIES, strict=True):
            self.registry.register_twin(self.admin, twin, sha256_digest(b"manifest"), policy)
            model.twins[twin] = policy
        self._calls = Calls(self.model, people, self.twins)
        self.now = chain.timestamp()
        for call in self._calls.opening():
            self.run(call, 1)

    def step(self, choose: Choose) -> None:
        """Make one call that ``choose`` has chosen from what could be called now."""
        pause = choose(PAUSES)
        assert isinstance(pause, int)
        self.run(self._calls.draw(choose, self.now + pause), pause)

    def run(self, call: Call, pause: int) -> None:
        """Make a call on both sides, ``pause`` seconds after the newest block.

        Raises:
            DifferenceError: another result, event or state than the model's.
        """
        self.steps += 1
        now = self.now + pause
        model = self.model if hasattr(self.model, call.kind) else self.model.registry
        contract = self.ledger if hasattr(self.ledger, call.kind) else self.registry
        expected, said = getattr(model, call.kind)(now, call.sender.address, *(call.model or call.arguments))
        self.chain.rpc("evm_setNextBlockTimestamp", (now,))
        where = f"step {self.steps}, {call.kind}{call.arguments} by {call.sender.address}, at {now}"
        try:
            receipt = getattr(contract, call.kind)(call.sender, *call.arguments)
        except ContractRevertError as error:
            if type(error) not in expected:
                names = sorted(kind.__name__ for kind in expected)
                raise DifferenceError(f"{where}: expected {names or 'success'}, got {error!r}") from error
            self.refusals[type(error).__name__] += 1
        else:
            self.now = now
            self.calls[call.kind] += 1
            if expected:
                names = sorted(kind.__name__ for kind in expected)
                raise DifferenceError(f"{where}: expected {names}, got success")
            told = decode_events(receipt.logs, LEDGER_EVENTS + REGISTRY_EVENTS)
            place = ("block", "log_index", "transaction")
            got = [(type(e), {k: v for k, v in vars(e).items() if k not in place}) for e in told]
            if got != said:
                raise DifferenceError(f"{where}: expected the events {said}, got {got}")
            self._calls.note(call)
        self._compare(where)

    def _compare(self, where: str) -> None:
        registry, model = self.model.registry, self.registry
        expected: dict[str, object] = {"sets": (registry.active, registry.producers)}
        got: dict[str, object] = {"sets": model.station_sets()}
        touched = registry.order[self.steps % len(registry.order)] if registry.order else None
        if touched is not None:
            member, station = registry.members[touched], model.station_of(touched)
            expected["station"] = (member.suspended, member.weight, member.roster, member.revision)
            got["station"] = (station.suspended, station.weight, station.roster_root, station.roster_revision)
            expected["voters"] = (member.ballot, bits([*member.accusers]))
            got["voters"] = (model.ballot_of(touched), model.suspension_votes(touched))
        for twin in self.twins:
            expected |= self._expected(twin)
            got |= self._got(twin)
            if touched is not None:
                accusers = self.model.twin(twin).round.accusers.get(touched, set())
                expected[f"accusers {twin}"] = bits([*accusers])
                got[f"accusers {twin}"] = self.ledger.accusers_of(twin, touched)
        if wrong := {name: (expected[name], got[name]) for name in expected if expected[name] != got[name]}:
            raise DifferenceError(f"{where}: state (expected, got): {wrong}")

    def _expected(self, twin: TwinId) -> dict[str, object]:
        record = self.model.twin(twin)
        round_ = record.round
        live = round_.electorate & self.model.registry.active
        votes = self.model.votes(round_)
        facts = (
            round_.number,
            self.model.status(round_, self.now),
            round_.submit_until,
            round_.min_updates,
            self.model.quorum(round_),
            (round_.electorate, live, round_.submitted, self.model.excluded(round_), bits([*votes])),
        )
        return {
            f"round of {twin}": facts,
            f"attest until {twin}": None if round_.ended else round_.attest_until,
            f"head of {twin}": (record.head, record.models.get(record.head, ZERO_DIGEST)),
            f"votes for {twin}": [self.model.for_model(round_, model) for model in self._calls.models],
            f"challenge of {twin}": [*record.challenges.values()][-1:],
        }

    def _got(self, twin: TwinId) -> dict[str, object]:
        state, head = self.ledger.round_of(twin), self.ledger.head(twin)
        ended = state.status in (RoundStatus.FINAL, RoundStatus.ABORTED)
        sets = (state.electorate, state.live, state.submitted, state.excluded, state.voted)
        facts = (state.number, state.status, state.submit_until, state.min_updates, state.quorum, sets)
        challenges = [*self.model.twin(twin).challenges][-1:]
        return {
            f"round of {twin}": facts,
            f"attest until {twin}": None if ended else state.attest_until,
            f"head of {twin}": (head.number, head.model),
            f"votes for {twin}": [self.ledger.votes_for(twin, model) for model in self._calls.models],
            f"challenge of {twin}": [self.ledger.challenge_until(twin, *key) for key in challenges],
        }

    def report(self) -> dict[str, object]:
        """Return the figures: steps, calls that went through per kind, refusals per error."""
        return {
            "steps": self.steps,
            "calls": dict(self.calls.most_common()),
            "refused": dict(self.refusals.most_common()),
        }
