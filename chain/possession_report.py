"""What an audit of possession found, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chain.audit_values import Verdict
from chain.checks import Finding
from twins.canonical import Json
from twins.types import Address, TwinId


@dataclass(frozen=True)
class SlotVerdict:
    """What follows for one holder in one slot.

    Attributes:
        slot: which.
        holder: who had to prove.
        tagger: in whose lane.
        version: round of the model that was asked for.
        verdict: what follows.
        why: in words, where it is no success.
    """

    slot: int
    holder: Address
    tagger: Address
    version: int
    verdict: Verdict
    why: str = ""

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values."""
        return {**vars(self), "verdict": str(self.verdict)}


@dataclass(frozen=True)
class PossessionAudit:
    """A twin's possession history.

    Attributes:
        twin: whose.
        slot: of the time at which the chain was read.
        rows: by slot, then holder; a slot in which nobody had to prove has none.
        withheld: slot to the stations that could have revealed and didn't.
        verified: proofs that were verified here.
        findings: what the contract accepted or says, and doesn't follow from the record.
    """

    twin: TwinId
    slot: int
    rows: tuple[SlotVerdict, ...]
    withheld: Mapping[int, tuple[Address, ...]]
    verified: int
    findings: tuple[Finding, ...]

    def count(self, verdict: Verdict) -> int:
        """How many rows have this verdict."""
        return sum(row.verdict is verdict for row in self.rows)

    @property
    def failed(self) -> tuple[SlotVerdict, ...]:
        """Who didn't prove."""
        return tuple(row for row in self.rows if row.verdict is Verdict.FAILED)

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON values."""
        return {
            "slot": self.slot,
            "verdicts": {str(verdict): self.count(verdict) for verdict in Verdict if self.count(verdict)},
            "verified_proofs": self.verified,
            "withheld": {str(slot): list(stations) for slot, stations in self.withheld.items()},
            "rows": [row.to_json() for row in self.rows],
        }
