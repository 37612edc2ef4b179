"""Which twins are audited, and challenges of one's own for the copies that this machine can read."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

from chain.accounts import Account
from chain.clock import SlotClock
from chain.errors import PDPDataError, PDPError
from chain.events import PolicySet
from chain.hardhat_node import CHAIN_ID
from chain.holder import Holder
from chain.pdp.challenge import Challenge
from chain.pdp.proof import prove
from chain.pdp.verification import verify
from scripts.accounts import devnet_account
from scripts.cli import BadInputError
from scripts.connections import Network
from scripts.possession import holding_of
from scripts.record_options import Place
from twins.archive import Archive
from twins.errors import TwinsError
from twins.manifest import TwinManifest
from twins.types import TwinId, digest_bytes, twin_id


@dataclass(frozen=True)
class Audited:
    """A twin that is looked at."""

    twin: TwinId
    name: str


def audited(network: Network, archive: Archive, names: Sequence[str]) -> list[Audited]:
    """Return the named twins, or all that have an audit policy.

    Raises:
        BadInputError: a twin without a policy.
    """
    events = network.audit.events(network.since, kinds=(PolicySet,))
    known = dict.fromkeys(event.twin for event in events if isinstance(event, PolicySet))
    if names:
        for name in names:
            if twin_id(name) not in known:
                raise BadInputError(f"twin {name}: expected one that is audited, got none; run rounds of it, or deploy")
        return [Audited(twin_id(name), name) for name in names]
    return [Audited(twin, _name_of(network, archive, twin)) for twin in known]


def _name_of(network: Network, archive: Archive, twin: TwinId) -> str:
    try:
        manifest = archive.manifest(TwinManifest, network.registry.twin_of(twin).manifest)
    except TwinsError:
        return twin  # its manifest can't be had just now; the audit will say so
    return manifest.name if twin_id(manifest.name) == twin else twin


def challenges(place: Place, network: Network, archive: Archive, twin: TwinId) -> Iterator[dict[str, object]]:
    """Let every copy answer a challenge that nobody knew before."""
    audit, reach = network.audit, place.reach
    clock = SlotClock(audit)
    slot = clock.read().slot
    endpoints = reach.endpoints()
    copies = [(url, index) for index, (url, _) in enumerate(endpoints)] or [(str(reach.home.store_path), 0)]
    anybody = Account.create()
    for tagger in network.registry.stations():
        tags = audit.tags_at(twin, tagger, slot + 1, audit.now_block)
        policy = audit.policy_at(twin, slot + 1, audit.now_block)
        if tags is None or policy is None:
            continue
        for name, index in copies:
            row: dict[str, object] = {"copy": name, "tagger": tagger, "version": tags.version, "blocks": tags.blocks}
            began = perf_counter()
            try:
                holding = holding_of(reach.only(index) if endpoints else reach, archive)
                holder = Holder(anybody, anybody, network.ledger, audit, network.since, archive, holding)
                held = holder.look_up(twin, tags)
                asked = Challenge.of(
                    secrets.token_bytes(32),
                    digest_bytes(tags.tau),
                    anybody.address,
                    blocks=tags.blocks,
                    size=policy.size,
                )
                proof = prove(holding.open(held.artifact.cid), held.tags, held.key, asked)
                verify(held.key, [asked], asked.sigma, proof)
                yield row | {"ok": True, "result": "proven", "seconds": perf_counter() - began}
            except (TwinsError, PDPDataError, PDPError) as error:
                yield row | {"ok": False, "result": str(error), "seconds": None}


def devnet_stations(network: Network) -> list[Account]:
    """Return the accounts of all stations of a devnet.

    Raises:
        BadInputError: another chain: those keys are public.
    """
    if network.chain.chain_id != CHAIN_ID:
        raise BadInputError(
            f"--all: expected a devnet (chain id {CHAIN_ID}), whose keys are public, got {network.chain.chain_id}"
        )
    known = {account.address: account for account in (devnet_account(network, index) for index in range(1, 80))}
    return [known[station] for station in network.registry.stations() if station in known]
