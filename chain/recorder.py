"""Recorder: pin, then record.

A digest reaches the chain only when its bytes can be fetched (architecture.md, law 1). A crash between any two steps
leaves something that can simply be done again (law 6): artifacts are named by their content, and whether the chain
already holds an action is read from the chain before it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.accounts import Account
from chain.connection import Receipt
from chain.round_ledger import RoundLedger
from chain.values import Update
from twins.archive import Archive
from twins.manifest import StationUpdateManifest, TwinModelManifest
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import StationUpdate, contributions_tree, encode_bundle


@dataclass(frozen=True)
class Recorder:
    """Writes one station's part of one twin's history."""

    twin: TwinId
    account: Account
    ledger: RoundLedger
    archive: Archive

    def record_update(
        self, update: StationUpdate, base_round: int, roster: tuple[Address, ...]
    ) -> tuple[Digest, Receipt]:
        """Store a station's update with all that stands behind it, then submit it.

        Returns:
            Digest of the manifest, and the receipt.

        Raises:
            StoreError: nothing was recorded.
            ContractRevertError: the ledger refused.
        """
        manifest = StationUpdateManifest(
            twin=self.twin,
            round=update.round,
            station=update.station,
            base_round=base_round,
            base=update.base,
            rule=update.rule,
            model=self.archive.put(update.model.to_bytes()),
            bundle=self.archive.put(encode_bundle(update.updates)),
            roster=self.archive.put_roster(roster),
            contributions=contributions_tree(update.updates).root,
            devices=len(update.updates),
            examples=update.examples,
            metrics=update.metrics,
            engine=update.engine,
        )
        digest = self.archive.put_manifest(manifest)
        receipt = self.ledger.submit_update(
            self.account,
            Update(
                twin=self.twin,
                round=update.round,
                base_round=base_round,
                base=update.base,
                update=digest,
                contributions=manifest.contributions,
                examples=update.examples,
            ),
        )
        return digest, receipt

    def record_model(self, manifest: TwinModelManifest, model: TwinModel) -> tuple[Digest, Receipt]:
        """Store the merged model and its manifest, then attest to it.

        Returns:
            Digest of the manifest, and the receipt.

        Raises:
            StoreError: nothing was recorded.
            ContractRevertError: the ledger refused.
        """
        self.archive.put(model.to_bytes())
        digest = self.archive.put_manifest(manifest)
        return digest, self.ledger.attest(self.account, self.twin, manifest.round, digest)
