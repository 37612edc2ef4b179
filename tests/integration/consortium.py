"""A consortium on a real local chain, for tests: short words for what a test needs but doesn't ask about."""

from __future__ import annotations

from dataclasses import dataclass

from chain.accounts import HARDHAT_MNEMONIC, Account
from chain.connection import Chain, Receipt
from chain.deployment import Deployment
from chain.round_ledger import RoundLedger, Update
from chain.twin_registry import RoundPolicy, TwinRegistry
from twins.types import ZERO_DIGEST, Digest, TwinId, sha256_digest, twin_id

POLICY = RoundPolicy(min_submit_for=60, min_attest_for=60, min_updates=1)


def digest(text: str) -> Digest:
    """A digest that a test can name."""
    return sha256_digest(text.encode())


def account(index: int) -> Account:
    """A funded account of the local chain."""
    return Account.from_mnemonic(HARDHAT_MNEMONIC, index)


@dataclass(frozen=True)
class Consortium:
    """Contracts, their administrator, some stations and somebody who is none."""

    chain: Chain
    deployment: Deployment
    registry: TwinRegistry
    ledger: RoundLedger
    admin: Account
    stations: tuple[Account, ...]
    outsider: Account

    def new_twin(self, name: str = "watch", policy: RoundPolicy = POLICY) -> TwinId:
        """Register a twin of the administrator's and set its genesis."""
        twin = twin_id(name)
        self.registry.register_twin(self.admin, twin, digest(f"{name} manifest"), policy)
        self.ledger.genesis(self.admin, twin, digest(f"{name} model 0"))
        return twin

    def open(self, twin: TwinId, number: int = 1, min_updates: int = 1) -> Receipt:
        """Open a round with the shortest windows."""
        return self.ledger.open_round(self.stations[0], twin, number, 60, 60, min_updates)

    def update(self, twin: TwinId, number: int, text: str = "update", **changes: object) -> Update:
        """Return an update on the head."""
        head = self.ledger.head(twin)
        fields = {
            "twin": twin,
            "round": number,
            "trained_round": number,
            "base_round": head.number,
            "base": head.model,
            "update": digest(text),
            "contributions": digest(f"contributions of {text}"),
            "examples": 100,
        }
        return Update(**(fields | changes))  # type: ignore[arg-type]

    def submit(self, station: Account, twin: TwinId, number: int = 1, text: str = "update") -> Receipt:
        """Submit an update on the head."""
        return self.ledger.submit_update(station, self.update(twin, number, text))

    def attest(
        self,
        station: Account,
        twin: TwinId,
        number: int = 1,
        text: str = "model 1",
        replaced: Digest = ZERO_DIGEST,
    ) -> Receipt:
        """Vote for a model."""
        return self.ledger.attest(station, twin, number, digest(text), replaced)

    def submit_all(self, twin: TwinId, number: int = 1) -> None:
        """Let every station submit."""
        for index, station in enumerate(self.stations):
            self.submit(station, twin, number, f"update {number} of {index}")

    def finish(self, twin: TwinId, number: int = 1) -> Digest:
        """Run a whole round in which all agree; return its model."""
        self.open(twin, number)
        self.submit_all(twin, number)
        for station in self.stations[: self.ledger.quorum_of((1 << len(self.stations)) - 1)]:
            self.attest(station, twin, number, f"model {number}")
        return digest(f"model {number}")

    def advance(self, seconds: int) -> None:
        """Let time pass on the chain."""
        self.chain.rpc("evm_increaseTime", (seconds,))
        self.chain.rpc("evm_mine")
