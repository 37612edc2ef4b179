"""A consortium of fixed inputs on a Hardhat node, for `benchmarks/gas.py`: what each thing done with it costs."""

from __future__ import annotations

from collections.abc import Sequence

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.connection import Chain
from chain.deployment import deploy_contracts, open_contracts
from chain.round_ledger import RoundLedger, Update
from chain.twin_registry import RoundPolicy, TwinRegistry
from twins.contribution import Attestation, SigningDomain
from twins.types import ZERO_DIGEST, Digest, TwinId, sha256_digest, twin_id

RING = 9
"""Rounds after which a round writes no fresh slot but its model's: the ledger keeps the commitments of 8 rounds."""


def digest(text: str) -> Digest:
    """Return a fixed digest: the gas of calldata depends on its zero bytes."""
    return sha256_digest(text.encode())


def account(index: int) -> Account:
    """Return a funded account."""
    return Account.from_mnemonic(HARDHAT_MNEMONIC, index)


class Consortium:
    """A fresh deployment with some stations and one twin, and the gas of each thing done with it."""

    def __init__(self, chain: Chain, size: int, twins: int = 1) -> None:
        """Deploy, admit ``size`` stations, each with a roster, register twins and set each one's genesis."""
        self.chain = chain
        self.gas: dict[str, int] = {}
        self.admin = account(0)
        self.stations = tuple(account(index) for index in range(1, size + 1))
        deployment, receipts = deploy_contracts(chain, self.admin)
        for name, receipt in receipts.items():
            self.gas[f"deploy {name}"] = receipt.gas_used
        self.registry: TwinRegistry
        self.ledger: RoundLedger
        self.registry, self.ledger = open_contracts(chain, deployment)
        self.domain = SigningDomain(chain.chain_id, self.ledger.address)
        for index, station in enumerate(self.stations):
            receipt = self.registry.register_station(self.admin, station.address)
            self.gas["register a station" if index else "register the first station"] = receipt.gas_used
            receipt = self.registry.set_roster(station, digest(f"roster {index}"), 1_000)
            self.gas["set a roster, first"] = receipt.gas_used
        self.twins: tuple[TwinId, ...] = tuple(twin_id(f"gas-{index}") for index in range(twins))
        self.twin = self.twins[0]
        for twin in self.twins:
            receipt = self.registry.register_twin(self.admin, twin, digest("manifest"), RoundPolicy(60, 60, 1))
            self.gas["register a twin"] = receipt.gas_used
            self.gas["set a genesis"] = self.ledger.genesis(self.admin, twin, digest("model 0")).gas_used
        self.round = 0

    def open(self) -> int:
        """Open the next round of every twin; return what the last took."""
        self.round += 1
        return [self.ledger.open_round(self.stations[0], twin, self.round, 60, 60, 1).gas_used for twin in self.twins][
            -1
        ]

    def update(
        self, index: int, twin: TwinId, number: int | None = None, contributions: Digest | None = None
    ) -> Update:
        """Return one station's update on the head, for the current round or an older one."""
        number = self.round if number is None else number
        head = self.ledger.head(twin)
        base_round = min(head.number, number - 1)
        return Update(
            twin=twin,
            round=number,
            trained_round=number,
            base_round=base_round,
            base=self.ledger.model_of(twin, base_round),
            update=digest(f"update {self.round} of {index} for {number}"),
            contributions=contributions or digest(f"contributions {self.round} of {index}"),
            examples=10_000,
        )

    def submit(self, index: int, number: int | None = None) -> int:
        """Submit one station's update."""
        return self.ledger.submit_update(self.stations[index], self.update(index, self.twin, number)).gas_used

    def submit_batch(self, index: int) -> int:
        """Submit one station's updates of all twins in one transaction."""
        updates = [self.update(index, twin) for twin in self.twins]
        return self.ledger.submit_updates(self.stations[index], updates).gas_used

    def attest(self, index: int, text: str = "model", replaced: Digest = ZERO_DIGEST) -> int:
        """Let one station vote in the current round of every twin; return what the last vote took."""
        model = digest(f"{text} {self.round}")
        return [
            self.ledger.attest(self.stations[index], twin, self.round, model, replaced).gas_used for twin in self.twins
        ][-1]

    def finalize_signed(self) -> int:
        """Make the current round final by a quorum's signatures."""
        model = digest(f"model {self.round}")
        statement = Attestation(self.twin, self.round, model, 0).signing_hash(self.domain)
        signers = sorted(self.stations[: self.quorum], key=lambda station: station.address.lower())
        return self.ledger.finalize_signed(
            self.stations[0],
            self.twin,
            self.round,
            model,
            [signer.address for signer in signers],
            [signer.sign_hash(statement) for signer in signers],
        ).gas_used

    @property
    def quorum(self) -> int:
        """Votes that make a model final."""
        return self.ledger.quorum_of((1 << len(self.stations)) - 1)

    def whole_round(self, *, signed: bool = False) -> dict[str, Sequence[int]]:
        """Run a round from its opening to the deciding vote; votes beyond the quorum aren't needed."""
        costs = {"open": [self.open()]}
        if len(self.twins) == 1:
            costs["submit"] = [self.submit(index) for index in range(len(self.stations))]
        else:
            costs["submit"] = [self.submit_batch(index) for index in range(len(self.stations))]
        costs["attest"] = [self.finalize_signed()] if signed else [self.attest(i) for i in range(self.quorum)]
        return dict(costs)

    def advance(self, seconds: int) -> None:
        """Let time pass on the chain."""
        self.chain.rpc("evm_increaseTime", (seconds,))
        self.chain.rpc("evm_mine")
