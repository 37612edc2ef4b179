"""Enrolment: stations, rosters, a twin and its genesis, brought to what a run needs.

Each function reads the chain first and sends only what is missing, so that an interrupted set-up is simply run
again; what is there and differs is refused, never overwritten.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from eth_utils.crypto import keccak

from chain.accounts import Account
from chain.audit_values import AuditPolicy
from chain.connection import Receipt
from chain.errors import RecordError, TwinRegistryUnknownTwin
from chain.round_ledger import RoundLedger
from chain.sync_audit import SyncAudit
from chain.twin_registry import TwinRegistry
from chain.values import RoundPolicy
from twins.archive import Archive
from twins.contribution import SigningDomain
from twins.manifest import ArtifactRef, TwinManifest, TwinModelManifest
from twins.model import TwinModel
from twins.nodes import Node, NodesManifest, decode_nodes, encode_nodes, require_valid
from twins.types import ZERO_DIGEST, Address, Digest, TwinId, digest_bytes, twin_id
from twins.updates import device_order, roster_tree

RING = 3
"""Stations that tag a twin and hold it: one may be down, and two still vouch for each other."""


def missing_stations(registry: TwinRegistry, stations: Sequence[Address]) -> tuple[Address, ...]:
    """Return the stations that aren't registered yet; sends nothing.

    Raises:
        RecordError: other stations are registered: they would be part of every electorate.
    """
    registered = registry.stations()
    if tuple(stations[: len(registered)]) != registered:
        raise RecordError(
            f"expected the stations {', '.join(stations)}, got {len(registered)} registered: {', '.join(registered)}; "
            "every registered station has a vote, so run with all of them or deploy anew"
        )
    return tuple(stations[len(registered) :])


def enrol_stations(registry: TwinRegistry, registrar: Account, stations: Sequence[Address]) -> list[Receipt]:
    """Register the stations that aren't yet, in this order.

    Raises:
        RecordError: as `missing_stations`.
    """
    return registry.register_stations(registrar, missing_stations(registry, stations))


def enrol_audit(audit: SyncAudit, registry: TwinRegistry, owner: Account, twin: TwinId) -> Receipt | None:
    """Have a twin's possession audited, if nobody has said how yet: by `RING` stations that tag for each other."""
    slot, _ = audit.current_slot(audit.now_block)
    if audit.policy_at(twin, slot + 1) is not None:
        return None
    return audit.set_policy(owner, twin, AuditPolicy.of(ring_of(twin, registry.stations())))


def ring_of(twin: TwinId, stations: Sequence[Address], size: int = RING) -> int:
    """Return which stations tag a twin, as a bit set: drawn by hash, so that twins are spread over all stations."""
    drawn = sorted(range(len(stations)), key=lambda index: keccak(digest_bytes(twin) + stations[index].encode()))
    return sum(1 << index for index in drawn[:size])


def enrol_devices(registry: TwinRegistry, station: Account, devices: tuple[Address, ...]) -> Receipt | None:
    """Set the station's roster if it isn't these devices yet."""
    root = roster_tree(devices).root
    if registry.station_of(station.address).roster_root == root:
        return None
    return registry.set_roster(station, root, len(devices))


def enrol_nodes(
    registry: TwinRegistry, archive: Archive, domain: SigningDomain, station: Account, nodes: tuple[Node, ...]
) -> Receipt | None:
    """Name the nodes of a station's devices, if they aren't these yet.

    Raises:
        SignatureError, ManifestError: a statement that isn't its device's, or a key or device twice; nothing is sent.
    """
    ordered = tuple(sorted(nodes, key=lambda node: device_order(node.device)))
    require_valid(ordered, station.address, domain)
    manifest = NodesManifest(station.address, len(ordered), ArtifactRef.of(encode_nodes(ordered)))
    if registry.nodes_of(station.address) == manifest.digest:
        return None
    archive.put(encode_nodes(ordered))
    return registry.set_nodes(station, archive.put_manifest(manifest))


def nodes_of(
    registry: TwinRegistry, archive: Archive, domain: SigningDomain, station: Address, roster: Collection[Address]
) -> tuple[Node, ...]:
    """Return the nodes that may connect to a station: named by it on the chain, and of devices of its roster.

    Args:
        registry: at its newest block.
        archive: where artifacts are.
        domain: of the ledger.
        station: whose.
        roster: its devices now. Whoever was taken off it may connect no more, even if its node is still named.

    Raises:
        RecordError: the roster isn't what the chain has, or the manifest is another station's.
        TwinsError: the manifest can't be fetched, or a statement in it isn't its device's.
    """
    if roster_tree(tuple(roster)).root != registry.station_of(station).roster_root:
        raise RecordError(f"station {station}: expected the roster that the chain has, got another; enrol it again")
    named = registry.nodes_of(station)
    if named == ZERO_DIGEST:
        return ()
    manifest = archive.manifest(NodesManifest, named)
    # Stops a station from naming another one's manifest, whose devices have signed for that one only.
    if manifest.station != station:
        raise RecordError(f"nodes of station {station}: expected its own manifest, got that of {manifest.station}")
    nodes = decode_nodes(archive.artifact(manifest.nodes))
    require_valid(nodes, station, domain)
    return tuple(node for node in nodes if node.device in roster)


def enrol_twin(
    registry: TwinRegistry, archive: Archive, owner: Account, manifest: TwinManifest, policy: RoundPolicy
) -> Receipt | None:
    """Register a twin with its manifest.

    Raises:
        RecordError: the twin exists with another manifest.
    """
    twin = twin_id(manifest.name)
    try:
        existing = registry.twin_of(twin)
    except TwinRegistryUnknownTwin:
        return registry.register_twin(owner, twin, archive.put_manifest(manifest), policy)
    if existing.manifest != manifest.digest:
        raise RecordError(_twin_differs(archive, existing.manifest, manifest))
    return None


def enrol_genesis(
    ledger: RoundLedger,
    archive: Archive,
    owner: Account,
    manifest: TwinManifest,
    model: TwinModel,
    origin: dict[str, object],
) -> Receipt | None:
    """Record the model of round 0 if there is none yet.

    Raises:
        RecordError: there is one, and it's another.
        SchemaError, NonFiniteError: not a model of this twin.
    """
    model.require_schema(manifest.model_schema, "genesis model")
    model.require_finite("genesis model")
    twin = twin_id(manifest.name)
    genesis = TwinModelManifest(
        twin=twin,
        round=0,
        parent=None,
        updates=(),
        rule=manifest.merge_rule,
        model=ArtifactRef.of(model.to_bytes()),
        examples=0,
        origin=origin,
    )
    recorded: Digest = ledger.model_of(twin, 0)
    if recorded == genesis.digest:
        return None
    if recorded != ZERO_DIGEST:
        raise RecordError(f"genesis of {manifest.name}: expected {genesis.digest}, got {recorded} on the chain")
    archive.put(model.to_bytes())
    return ledger.genesis(owner, twin, archive.put_manifest(genesis))


def _twin_differs(archive: Archive, recorded: Digest, manifest: TwinManifest) -> str:
    there, here = archive.manifest(TwinManifest, recorded).task, manifest.task
    different = [
        f"{key}: {there.get(key)!r} there, {here.get(key)!r} here"
        for key in sorted({*there, *here})
        if there.get(key) != here.get(key)
    ]
    return (
        f"twin {manifest.name} is registered with manifest {recorded}, this run would continue {manifest.digest} "
        f"({'; '.join(different) or 'another schema or rule'}); run with the twin's settings or name another twin"
    )
