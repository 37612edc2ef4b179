"""Quorum evidence: who made a model final, from the votes on the chain or from signatures, checked again.

The contract has checked all of it already. An auditor doesn't believe one node's event alone: the votes are other
events, and signatures speak for themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from chain.checks import Finding
from chain.encoding import interface
from chain.errors import EncodingError
from chain.events import Attested, RoundFinal
from chain.lineage import Lineage
from twins.contribution import Attestation, SigningDomain
from twins.errors import SignatureError
from twins.types import Address

Calldata = Callable[[str], bytes]
"""Transaction hash to what it called its contract with."""


def quorum_of(electorate: int, live: int) -> int:
    """Return the votes that make a model final (``IRoundLedger.quorumOf``).

    Args:
        electorate: bit set of stations at opening.
        live: those of them that aren't suspended.
    """
    two_thirds = (2 * live.bit_count() + 2) // 3
    # Suspensions alone must not hand a round to a minority of those that began it.
    return max(two_thirds, electorate.bit_count() // 2 + 1)


@dataclass(frozen=True)
class QuorumCheck:
    """Checks the quorums of one lineage.

    Attributes:
        lineage: of the twin.
        domain: under which stations sign.
        calldata: reads transactions, where a model was made final by signatures.
    """

    lineage: Lineage
    domain: SigningDomain
    calldata: Calldata

    def needed(self, final: RoundFinal) -> int:
        """Return the votes that the round needed when it became final."""
        electorate = self.lineage.electorate(final.round)
        return quorum_of(electorate, electorate & self.lineage.active_at(final))

    def check(self, final: RoundFinal) -> Iterator[Finding]:
        """Hold a final round's attesters against the electorate, the quorum, and their votes or signatures."""
        where, lineage = f"round {final.round}, quorum", self.lineage
        electorate = lineage.electorate(final.round)
        allowed = electorate & lineage.active_at(final)
        if final.attesters & ~allowed:
            strangers = ", ".join(lineage.members(final.attesters & ~allowed))
            yield Finding("quorum", where, "attesters of the electorate that aren't suspended", strangers)
        if final.attesters.bit_count() < self.needed(final):
            yield Finding("quorum", where, f"{self.needed(final)} attesters", f"{final.attesters.bit_count()}")
        votes = self._votes(final)
        attesters = set(lineage.members(final.attesters))
        silent = attesters - {station for station, event in votes.items() if event.model == final.model}
        if silent:
            unsigned = silent - set(self._signers(final))
            for station in sorted(unsigned):
                yield Finding("quorum", where, f"a vote or a signature of station {station} for the model", "neither")

    def _votes(self, final: RoundFinal) -> Mapping[Address, Attested]:
        """Return each station's last vote up to the end of the round."""
        return {vote.station: vote for vote in self.lineage.of(Attested, final.round) if _before(vote, final)}

    def _signers(self, final: RoundFinal) -> Iterator[Address]:
        """Yield who has signed the model in the transaction that made it final."""
        function = interface("RoundLedger").functions["finalizeSigned"]
        data = self.calldata(final.transaction)
        if data[:4] != function.selector:
            return
        try:
            twin, number, model, signers, signatures = function.inputs.decode(data[4:], function.name, strict=False)
        except EncodingError:
            return
        if (twin, number, model) != (final.twin, final.round, final.model):
            return
        lineage, accepted = self.lineage, self.lineage.accepted(final)
        recorded = {u.station for u in lineage.updates if u.round == final.round and not u.late}
        excluded = sum(1 << lineage.stations.index(station) for station in recorded - set(accepted))
        statement = Attestation(final.twin, final.round, final.model, excluded)
        for signer, signature in zip(signers, signatures, strict=False):
            try:
                if statement.signer(self.domain, signature) == signer:
                    yield signer
            except SignatureError:
                continue


def _before(vote: Attested, final: RoundFinal) -> bool:
    return (vote.block, vote.log_index) < (final.block, final.log_index)
