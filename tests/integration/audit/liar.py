"""Records any lie: through the real interfaces, with real keys, so that everything fits but what a test bends.

The bytes that a lie names are stored, the CIDs are right, the ledger accepts it: only the meaning is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from chain.accounts import Account
from chain.errors import RecordError
from chain.history import merged_manifest
from chain.station import Action
from chain.values import Update
from scripts.session import Session
from tests.integration.audit.world import World
from twins.aggregation import WEIGHTED_MEAN, weighted_mean
from twins.contribution import Contribution, address_of_key
from twins.manifest import ArtifactRef, StationUpdateManifest, UpdateRef
from twins.model import TwinModel
from twins.types import Address, Digest
from twins.updates import (
    ContributionIndex,
    DeviceUpdate,
    Rejection,
    RejectionReason,
    StationUpdate,
    contributions_tree,
    device_order,
    encode_payloads,
)


@dataclass(frozen=True)
class Liar:
    """Stations that do anything their keys and their store allow, in the round after the history."""

    world: World
    session: Session
    number: int
    index: int = 0

    @classmethod
    def of(cls, world: World) -> Liar:
        """Open the next round by whose turn it is."""
        session = world.session()
        number = session.head_round() + 1
        opened = next(filter(None, (follower.step(number) for follower in session.followers)))
        assert opened.action is Action.OPENED
        return cls(world, session, number)

    @property
    def head(self) -> Digest:
        return self.world.network.ledger.head(self.world.twin).model

    @property
    def crook(self) -> Account:
        """The station that lies."""
        return self.world.stations[self.index]

    @property
    def where(self) -> str:
        return f"round {self.number}, station {self.crook.address}"

    @property
    def roster(self) -> tuple[Address, ...]:
        return self.session.trainers[self.crook.address].roster

    def key(self, device: Address) -> bytes:
        """A device's private key: a station may have stolen it, or be in league with the device."""
        keys = [bytes.fromhex(file.read_text()) for file in self.world.keys]
        return next(key for key in keys if address_of_key(key) == device)

    def signed(
        self,
        device: Address,
        model: TwinModel,
        examples: int = 10,
        key: bytes | None = None,
        base: Digest | None = None,
    ) -> DeviceUpdate:
        """An update that its device has really signed for this round."""
        payload = DeviceUpdate.encode_payload(model, {"train_loss": 1.0})
        unsigned = DeviceUpdate(device, examples, payload, b"")
        contribution = Contribution(
            self.world.twin, self.number, self.crook.address, base or self.head, unsigned.digest, examples
        )
        return replace(unsigned, signature=contribution.sign(self.world.network.domain, key or self.key(device)))

    def honest(self) -> StationUpdate:
        """What the crook would submit if it were honest: really trained, really signed."""
        follower = self.session.followers[self.index]
        return follower.learn(follower.base_model(self.head), self.head, self.number, follower.history())

    def submit(
        self,
        updates: Sequence[DeviceUpdate],
        *,
        model: TwinModel | None = None,
        roster: tuple[Address, ...] | None = None,
        rejections: Sequence[Rejection] | None = None,
        told: Mapping[str, object] | None = None,
        **lies: object,
    ) -> StationUpdateManifest:
        """Record an update of the crook.

        Args:
            updates: what goes into the index and the payloads.
            model: the station's; the true aggregate of ``updates`` if None.
            roster: as shown to auditors; the true one if None.
            rejections: of the devices of the roster that aren't in ``updates``; all of them as missing if None.
            told: fields in which the chain is told something else than the manifest says.
            lies: fields of the manifest; those not named are true.
        """
        archive = self.world.archive
        listed = sorted(updates, key=lambda update: device_order(update.device))
        index = ContributionIndex(
            tuple(u.entry for u in listed), self._rest(listed) if rejections is None else tuple(rejections)
        )
        model = model or weighted_mean([(update.model(), update.examples) for update in listed])
        manifest = StationUpdateManifest(
            twin=self.world.twin,
            round=self.number,
            trained_round=self.number,
            station=self.crook.address,
            base_round=self.number - 1,
            base=self.head,
            rule=WEIGHTED_MEAN,
            model=archive.put(model.to_bytes()),
            index=archive.put(index.to_bytes()),
            payloads=archive.put(encode_payloads(listed, b"")),
            encryption=None,
            roster=archive.put_roster(roster or self.roster),
            contributions=root_of(listed),
            devices=len(listed),
            rejected=len(index.rejections),
            examples=sum(update.examples for update in listed),
            metrics={},
            engine={},
        )
        manifest = replace(manifest, **lies)  # type: ignore[arg-type]
        update = Update(
            twin=self.world.twin,
            round=self.number,
            trained_round=manifest.trained_round,
            base_round=manifest.base_round,
            base=manifest.base,
            update=archive.put_manifest(manifest),
            contributions=manifest.contributions,
            examples=manifest.examples,
        )
        self.world.network.ledger.submit_update(self.crook, replace(update, **dict(told or {})))  # type: ignore[arg-type]
        return manifest

    def _rest(self, used: Sequence[DeviceUpdate]) -> tuple[Rejection, ...]:
        present = {update.device for update in used}
        return tuple(
            Rejection(device, RejectionReason.MISSING, "did not answer")
            for device in self.roster
            if device not in present
        )

    def others_submit(self) -> None:
        """The other stations are honest."""
        for follower in self.session.followers[1:]:
            step = follower.step(self.number)
            assert step is not None
            assert step.action is Action.SUBMITTED

    def collude(self, model: TwinModel | None = None, artifact: ArtifactRef | None = None, **lies: object) -> Digest:
        """Let the others submit, and a quorum attest to whatever is asked.

        Args:
            model: the merged one; what the rule makes of the recorded station models if None.
            artifact: the reference to it; the true one if None.
            lies: fields of the manifest; those not named are true.
        """
        self.others_submit()
        world, archive = self.world, self.world.archive
        accepted = [event for event in world.recorded(self.number) if not event.late]
        if model is None:
            models = [archive.model(world.update_manifest(event).model) for event in accepted]
            model = weighted_mean([(m, event.examples) for m, event in zip(models, accepted, strict=True)])
        updates, examples = (
            [UpdateRef(event.station, event.update) for event in accepted],
            sum(e.examples for e in accepted),
        )
        manifest = merged_manifest(world.twin, WEIGHTED_MEAN, self.number, self.head, updates, examples, model)
        manifest = replace(manifest, model=artifact or manifest.model)
        manifest = replace(manifest, **lies)  # type: ignore[arg-type]
        archive.put(model.to_bytes())
        digest = archive.put_manifest(manifest)
        for station in world.stations[:2]:  # two of three are a quorum
            world.network.ledger.attest(station, world.twin, self.number, digest)
        assert self.head == digest
        return digest


def refuse_to_go_on(liar: Liar) -> None:
    """The next round opens, and the station that was outvoted in this one submits nothing to it."""
    honest = liar.session.followers[2]
    opened = next(filter(None, (follower.step(liar.number + 1) for follower in liar.session.followers)))
    assert opened.action is Action.OPENED
    with pytest.raises(RecordError, match="doesn't go on from"):
        honest.step(liar.number + 1)


def root_of(updates: Sequence[DeviceUpdate]) -> Digest:
    """Merkle root over the contributions, as the chain has it."""
    return contributions_tree([update.entry for update in updates]).root


def shifted(model: TwinModel) -> TwinModel:
    """A valid model of the same schema with one weight changed by one unit in the last place or so."""
    tensors = {name: array.copy() for name, array in model.tensors.items()}
    first = next(iter(tensors))
    tensors[first].flat[0] += 0.5
    return TwinModel(tensors)
