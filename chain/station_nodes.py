"""The part of TwinRegistry that says which nodes stations let connect."""

from __future__ import annotations

from chain.accounts import Account
from chain.connection import Block, Receipt
from chain.contract import Contract
from twins.types import Address, Digest


class StationNodes(Contract):
    """Which nodes each station's devices connect with."""

    def set_nodes(self, account: Account, manifest: Digest) -> Receipt:
        """Name the manifest of the calling station's nodes, replacing the former one.

        Args:
            account: the station's.
            manifest: of `twins.nodes.NodesManifest`; zero withdraws all.

        Raises:
            TwinRegistryUnknownStation, TwinRegistrySuspended.
        """
        return self._transact(account, "setNodes", manifest)

    def nodes_of(self, station: Address, block: Block = None) -> Digest:
        """Return the manifest of a station's nodes; zero if it has none."""
        (manifest,) = self._read("nodesOf", station, block=block)
        return Digest(manifest)
