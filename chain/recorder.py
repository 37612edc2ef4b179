"""Recorder: pin, then record.

A digest reaches the chain only when its bytes can be fetched (architecture.md, law 1). A crash between any two steps
leaves something that can simply be done again (law 6): artifacts are named by their content, and whether the chain
already holds an action is read from the chain before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from chain.accounts import Account
from chain.checks import Finding
from chain.connection import Receipt
from chain.events import UpdateSubmitted
from chain.round_ledger import RoundLedger
from chain.values import Update
from twins import canonical
from twins.archive import Archive
from twins.encryption import ReaderId, StationSecret, encryption_context
from twins.manifest import StationUpdateManifest, TwinModelManifest
from twins.model import TwinModel
from twins.remembered import remember
from twins.types import Address, Digest, TwinId
from twins.updates import ContributionIndex, StationUpdate, contributions_tree, encode_payloads

_MADE = 8  # rounds: what is older was settled long ago, or comes from an earlier process
_TOLD = 20  # findings in an accusation: one is enough, and it has to stay one block


@dataclass(frozen=True)
class Recorder:
    """Writes one station's part of one twin's history.

    Attributes:
        twin: whose.
        account: the station's.
        ledger: of the consortium.
        archive: where artifacts go.
        secret: seals the devices' updates; None stores them open.
        readers: who gets a grant to them.
        made: the updates that this process has made and stored itself, the newest few, with the round of each.
    """

    twin: TwinId
    account: Account
    ledger: RoundLedger
    archive: Archive
    secret: StationSecret | None
    readers: Sequence[ReaderId]
    made: dict[Digest, int] = field(compare=False)  # no default: a recorder is made anew for every look

    def store_update(
        self, update: StationUpdate, base_round: int, roster: tuple[Address, ...]
    ) -> tuple[Digest, Callable[[], Receipt]]:
        """Store a station's update with all that stands behind it.

        Returns:
            Digest of the manifest, and what submits it: raises ContractRevertError if the ledger refuses.

        Raises:
            StoreError: nothing may be recorded.
        """
        index = ContributionIndex.of(update)
        payloads, encryption = encode_payloads(update.updates, update.noise), None
        if self.secret is not None:
            context = encryption_context(self.twin, update.round, update.station)
            payloads, encryption = self.secret.seal(payloads, context, self.readers)
        manifest = StationUpdateManifest(
            twin=self.twin,
            round=update.round,
            trained_round=update.round,
            station=update.station,
            base_round=base_round,
            base=update.base,
            rule=update.rule,
            model=self.archive.put(update.model.to_bytes()),
            index=self.archive.put(index.to_bytes()),
            payloads=self.archive.put(payloads),
            encryption=encryption,
            roster=self.archive.put_roster(roster),
            contributions=contributions_tree(index.entries).root,
            devices=len(index.entries),
            rejected=len(index.rejections),
            examples=update.examples,
            metrics=update.metrics,
            engine=update.engine,
        )
        digest, submit = self._submission(manifest)
        remember(self.made, digest, update.round, _MADE)
        return digest, submit

    def resubmit(self, late: UpdateSubmitted, number: int) -> tuple[Digest, Callable[[], Receipt]]:
        """Store a late update's manifest again, for a later round: the same training, the same artifacts.

        Returns:
            As `store_update`.

        Raises:
            TwinsError: the late update's manifest can't be fetched.
        """
        manifest = self.archive.manifest(StationUpdateManifest, late.update)
        return self._submission(replace(manifest, round=number))

    def _submission(self, manifest: StationUpdateManifest) -> tuple[Digest, Callable[[], Receipt]]:
        digest = self.archive.put_manifest(manifest)
        recorded = Update(
            twin=self.twin,
            round=manifest.round,
            trained_round=manifest.trained_round,
            base_round=manifest.base_round,
            base=manifest.base,
            update=digest,
            contributions=manifest.contributions,
            examples=manifest.examples,
        )
        return digest, lambda: self.ledger.submit_update(self.account, recorded)

    def store_model(self, manifest: TwinModelManifest, model: TwinModel) -> tuple[Digest, Callable[[], Receipt]]:
        """Store the merged model and its manifest.

        Returns:
            Digest of the manifest, and what attests to it: raises ContractRevertError if the ledger refuses.

        Raises:
            StoreError: nothing may be recorded.
        """
        self.archive.put(model.to_bytes())
        digest = self.archive.put_manifest(manifest)
        return digest, lambda: self.ledger.attest(self.account, self.twin, manifest.round, digest)

    def store_accusation(self, accused: UpdateSubmitted, findings: Sequence[Finding]) -> Digest:
        """Store what an accusation of a station's update rests on, for everybody to check; return its digest."""
        body = {
            "kind": "accusation",
            "schema": 1,
            "twin": self.twin,
            "round": accused.round,
            "station": accused.station,
            "update": accused.update,
            "findings": [
                {"check": f.check, "where": f.where, "expected": f.expected, "got": f.got} for f in findings[:_TOLD]
            ],
        }
        return self.archive.put(canonical.encode(body)).sha256
