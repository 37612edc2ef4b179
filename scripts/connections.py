"""How a command reaches a consortium: nodes of its chain, IPFS nodes of its stations, its contracts.

Whatever isn't given is the devnet's of the home folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from chain.connection import Chain
from chain.deployment import Deployment, open_audit, open_contracts
from chain.round_ledger import RoundLedger
from chain.sync_audit import SyncAudit
from chain.twin_registry import TwinRegistry
from scripts.cli import BadInputError, err
from scripts.devnet_state import DevnetState, rpc_url
from scripts.home import Home
from twins.contribution import SigningDomain
from twins.store import ArtifactStore, DirectoryStore

IpfsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ipfs",
        metavar="URL",
        help="RPC API of a station's IPFS node (Kubo), the own one first; may be repeated [the devnet's].",
    ),
]
IpfsTokensOption = Annotated[
    Path | None, typer.Option("--ipfs-tokens", help="File with the bearer token of each --ipfs, one a line.")
]
ReplicasOption = Annotated[
    int | None,
    typer.Option(
        help="IPFS nodes that must have pinned an artifact before it is recorded [2; 1 where a devnet has one].",
        min=1,
    ),
]
ConfirmationsOption = Annotated[
    int | None,
    typer.Option(help="Blocks on top of a settled one [0 on a development node, otherwise 3].", min=0),
]
PatienceOption = Annotated[
    float | None,
    typer.Option(
        help="Seconds to wait for a chain that stalls, or nodes that don't answer [0 on a development node, else 600].",
        min=0,
    ),
]

REPLICAS = 2
PATIENCE = 600.0


@dataclass(frozen=True)
class Reach:
    """What the options say; the devnet's where they say nothing.

    Attributes:
        home: local state.
        rpc: URL of a node, or of several with commas.
        ipfs: URLs of IPFS nodes.
        ipfs_tokens: file with their bearer tokens.
        artifacts: folder of an embedded store, instead of IPFS.
        replicas: nodes that an artifact must be pinned on; None is `REPLICAS`, or all of a devnet that has fewer.
        confirmations: of a settled block; None as `Chain` has it.
        patience: seconds; None is `PATIENCE`, but 0 on a development node, which has lost everything when it dies.
    """

    home: Home
    rpc: str | None = None
    ipfs: Sequence[str] = ()
    ipfs_tokens: Path | None = None
    artifacts: Path | None = None
    replicas: int | None = None
    confirmations: int | None = None
    patience: float | None = None

    def chain(self) -> Chain:
        """Connect to the chain.

        Raises:
            BadInputError: no URL, and no devnet is running.
            ChainError: no URL of a node, or no node there.
        """
        url = rpc_url(self.rpc, self.home.path)
        chain = Chain(url, patience=self.patience or 0.0, confirmations=self._confirmations(), notice=warn)
        if self.patience is None and chain.confirmations:
            chain.patience = PATIENCE
        return chain

    def urls(self) -> tuple[str, ...]:
        """Return the URLs of the chain's nodes, with whatever credentials are in them.

        Raises:
            BadInputError: no URL, and no devnet is running.
        """
        return tuple(url.strip() for url in rpc_url(self.rpc, self.home.path).split(","))

    def _confirmations(self) -> int | None:
        if self.confirmations is None and self.rpc is None:
            state = DevnetState.load(self.home.path)
            return None if state is None else state.confirmations
        return self.confirmations

    def only(self, index: int) -> Reach:
        """Return the same with one of the IPFS nodes alone."""
        return _OneNode(**vars(self), index=index)

    def store(self, patience: float = 0.0) -> ArtifactStore:
        """Open the artifact store: that which was given, or else the running devnet's.

        Args:
            patience: seconds to wait for IPFS nodes, if none answers.

        Raises:
            BadInputError: options that contradict each other.
            StoreError: the folder can't be used.
        """
        if self.artifacts is not None and self.ipfs:
            raise BadInputError("--artifacts and --ipfs: expected one of them, got both")
        if self.artifacts is not None:
            return DirectoryStore(self.artifacts)
        endpoints = self.endpoints()
        if not endpoints:
            return self.home.store()
        from twins.ipfs import KuboEndpoint, KuboStore  # a second that those without IPFS needn't wait

        nodes = [KuboEndpoint(*pair) for pair in endpoints]
        return KuboStore(nodes, replicas=self.copies(len(endpoints)), patience=patience, notice=warn)

    def copies(self, nodes: int) -> int:
        """Return how many IPFS nodes of so many must have pinned an artifact."""
        if self.replicas is not None:
            return self.replicas
        # On a network of one's own fewer nodes than copies are a mistake, which the first put tells.
        return REPLICAS if self.ipfs else min(REPLICAS, nodes)

    def endpoints(self) -> list[tuple[str, str | None]]:
        """Return URL and bearer token of each IPFS node; none where artifacts are in a folder.

        Raises:
            BadInputError: options that contradict each other, or tokens that can't be read.
        """
        if self.ipfs:
            return list(zip(self.ipfs, _tokens(self.ipfs_tokens, len(self.ipfs)), strict=True))
        if self.ipfs_tokens is not None:
            raise BadInputError("--ipfs-tokens: expected an --ipfs for each token, got none")
        state = None if self.rpc is not None else DevnetState.load(self.home.path)
        return [] if state is None else list(state.ipfs_endpoints())


@dataclass(frozen=True)
class _OneNode(Reach):
    index: int = 0

    def endpoints(self) -> list[tuple[str, str | None]]:
        return [super().endpoints()[self.index]]


def _tokens(file: Path | None, count: int) -> list[str | None]:
    if file is None:
        return [None] * count
    lines = file.read_text(encoding="utf-8").splitlines()
    if len(lines) != count:
        raise BadInputError(f"{file}: expected {count} lines, one token for each --ipfs, got {len(lines)}")
    return [line.strip() or None for line in lines]


def warn(text: str) -> None:
    """Say something on stderr that isn't an error."""
    err.print(text, style="yellow", markup=False)


@dataclass(frozen=True)
class Network:
    """A deployed consortium as a client sees it."""

    chain: Chain
    registry: TwinRegistry
    ledger: RoundLedger
    audit: SyncAudit
    since: int

    @classmethod
    def open(cls, rpc: str | Chain, deployment_file: Path) -> Network:
        """Connect and hold the deployment file against the chain.

        Args:
            rpc: URL of a node, or of several with commas; or the connection.
            deployment_file: as `scripts/deploy.py` wrote it.

        Raises:
            ChainUnreachableError: no node.
            DeploymentError, WrongChainError: the file is missing, damaged or of another chain.
        """
        deployment = Deployment.load(deployment_file)
        chain = rpc if isinstance(rpc, Chain) else Chain(rpc)
        registry, ledger = open_contracts(chain, deployment)
        return cls(chain, registry, ledger, open_audit(chain, deployment), deployment.block)

    @property
    def domain(self) -> SigningDomain:
        """Under which devices sign."""
        return SigningDomain(self.chain.chain_id, self.ledger.address)
