"""Recorder: pin, then record.

A digest reaches the chain only when its bytes can be fetched (architecture.md, law 1). A crash between any two steps
leaves something that can simply be done again (law 6): artifacts are named by their content, and whether the chain
already holds an action is read from the chain before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable
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

    def store_update(
        self, update: StationUpdate, base_round: int, roster: tuple[Address, ...]
    ) -> tuple[Digest, Callable[[], Receipt]]:
        """Store a station's update with all that stands behind it.

        Returns:
            Digest of the manifest, and what submits it: raises ContractRevertError if the ledger refuses.

        Raises:
            StoreError: nothing may be recorded.
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
        recorded = Update(
            twin=self.twin,
            round=update.round,
            base_round=base_round,
            base=update.base,
            update=digest,
            contributions=manifest.contributions,
            examples=update.examples,
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
