"""The rules that a station's contributions must satisfy: who contributed, who didn't and why, and in which training.

Pure functions, as `chain.checks`; each yields what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from chain.checks import Finding, compare
from chain.events import UpdateSubmitted
from twins.contribution import Contribution, SigningDomain
from twins.errors import SignatureError
from twins.manifest import StationUpdateManifest, TwinPolicy
from twins.model import TwinModel
from twins.types import Address, Digest, TwinId
from twins.updates import (
    ContributionIndex,
    DeviceUpdate,
    Entry,
    contributions_tree,
    device_order,
    roster_tree,
    update_norm,
)


def check_index(
    manifest: StationUpdateManifest,
    index: ContributionIndex,
    roster: Sequence[Address],
    roster_root: Digest | None,
    domain: SigningDomain,
) -> Iterator[Finding]:
    """Hold a station's contributions against its manifest and its roster.

    Args:
        manifest: the station's.
        index: its contributions and rejections.
        roster: the station's devices, as the manifest names them.
        roster_root: Merkle root of the roster that the chain held when the update was submitted; None if none.
        domain: of the ledger; a signature under another one is a replay from another chain or contract.
    """
    where = f"round {manifest.round}, station {manifest.station}"
    root = roster_tree(roster).root if roster else None
    if root != roster_root:
        yield Finding("roster", where, f"devices under root {roster_root}", f"devices under root {root}")
    enrolled = set(roster)
    unsigned = _unsigned(_training(manifest), index, domain, where)
    for entry in index.entries:
        if entry.device not in enrolled:  # a station that invents devices
            place = f"{where}, device {entry.device}"
            yield Finding("roster", place, "a device of the station's roster", "a device that isn't in it")
        yield from unsigned.get(entry.device, ())
    yield from _check_everybody_is_accounted_for(index, enrolled, where)
    if not index.entries:
        yield Finding("contributions", where, "at least one device", "an empty index")
        return
    yield from compare(
        "contributions",
        where,
        {
            "Merkle root": manifest.contributions,
            "devices": manifest.devices,
            "rejected": manifest.rejected,
            "examples": manifest.examples,
        },
        {
            "Merkle root": contributions_tree(index.entries).root,
            "devices": len(index.entries),
            "rejected": len(index.rejections),
            "examples": sum(entry.examples for entry in index.entries),
        },
    )


def check_signature(
    manifest: StationUpdateManifest, entry: Entry, domain: SigningDomain, where: str
) -> Iterator[Finding]:
    """Hold one contribution against its device's signature."""
    return _check_signature(_training(manifest), entry, domain, where)


_Training = tuple[TwinId, int, Address, Digest]
"""What all devices of an update state alike: twin, round, station, base."""


def _training(manifest: StationUpdateManifest) -> _Training:
    return manifest.twin, manifest.trained_round, manifest.station, manifest.base


@lru_cache(maxsize=16)
def _unsigned(
    training: _Training, index: ContributionIndex, domain: SigningDomain, where: str
) -> Mapping[Address, tuple[Finding, ...]]:
    """Look through all signatures once for all voters of the same process; return what is wrong, by device."""
    found = {}
    for entry in index.entries:
        wrong = tuple(_check_signature(training, entry, domain, f"{where}, device {entry.device}"))
        if wrong:
            found[entry.device] = wrong
    return found


def _check_signature(training: _Training, entry: Entry, domain: SigningDomain, where: str) -> Iterator[Finding]:
    contribution = Contribution(*training, entry.digest, entry.examples)
    try:
        signer = contribution.signer(domain, entry.signature)
    except SignatureError as error:
        yield Finding("device-signature", where, "a signature of the device", str(error))
        return
    if signer != entry.device:
        # Also what a replay from another round, twin, station, base or chain looks like.
        yield Finding("device-signature", where, f"signed by {entry.device}", f"recovers to {signer}")


def _check_everybody_is_accounted_for(
    index: ContributionIndex, enrolled: set[Address], where: str
) -> Iterator[Finding]:
    """Every device of the roster has contributed, or a reason is recorded why it hasn't.

    Stops a station that leaves a device out silently: it has to state a reason, which the device can contradict.
    """
    rejected = {rejection.device for rejection in index.rejections}
    for device in sorted(rejected - enrolled, key=device_order):
        yield Finding("roster", f"{where}, device {device}", "a device of the roster", "a rejection of another's")
    accounted = rejected | {entry.device for entry in index.entries}
    for device in sorted(enrolled - accounted, key=device_order):
        yield Finding(
            "omitted", f"{where}, device {device}", "its contribution, or the reason why it was rejected", "neither"
        )


def check_training(
    recorded: UpdateSubmitted, policy: TwinPolicy, accepted_before: Iterable[UpdateSubmitted]
) -> Iterator[Finding]:
    """Hold an update's training against the twin's policy and the station's earlier ones.

    Args:
        recorded: the update.
        policy: of the twin.
        accepted_before: the same station's updates that counted in earlier final rounds.
    """
    where = f"round {recorded.round}, station {recorded.station}"
    if recorded.staleness > policy.max_staleness and not recorded.late:
        yield Finding("staleness", where, f"at most {policy.max_staleness} rounds", f"{recorded.staleness} rounds")
    for earlier in accepted_before:
        # Stops a station that lets the same training count in several rounds.
        if earlier.trained_round >= recorded.trained_round:
            yield Finding(
                "repeated-training",
                where,
                f"training after that of round {earlier.trained_round}, which counted in round {earlier.round}",
                f"training of round {recorded.trained_round}",
            )


def check_sealing(
    recorded: UpdateSubmitted, manifest: StationUpdateManifest | None, policy: TwinPolicy
) -> Iterator[Finding]:
    """Hold how the devices' updates are stored against the twin's policy: a station must not lay them open."""
    if manifest is not None and policy.sealed and manifest.encryption is None:
        where = f"round {recorded.round}, station {recorded.station}, device updates"
        yield Finding("sealing", where, "sealed, as the twin's policy asks", "open for everybody")


def check_norms(
    recorded: UpdateSubmitted, updates: Iterable[DeviceUpdate], base: TwinModel, policy: TwinPolicy
) -> Iterator[Finding]:
    """Hold every device's update against the twin's bound: a station must not let a favourite's through."""
    if policy.max_update_norm is None:
        return
    for update in updates:
        norm = update_norm(update.model(), base)
        if norm > policy.max_update_norm:
            where = f"round {recorded.round}, station {recorded.station}, device {update.device}"
            yield Finding("norm", where, f"an update of norm up to {policy.max_update_norm}", f"{norm:.6g}")


def double_counts(
    contributions: Iterable[tuple[Address, ContributionIndex]],
) -> Iterator[tuple[Address, Address, Address]]:
    """Yield (device, station, other station) for each device that counts at two stations of a round.

    Neither station need be to blame: only the device knows both, or a dishonest pair could frame an honest one.
    """
    seen: dict[Address, Address] = {}
    for station, index in contributions:
        for entry in index.entries:
            other = seen.setdefault(entry.device, station)
            if other != station:
                yield entry.device, other, station
