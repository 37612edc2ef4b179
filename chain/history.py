"""What the record holds: a station's training so far, its updates that came too late, models that were merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chain.events import UpdateSubmitted
from twins.aggregation import Rule
from twins.archive import Archive
from twins.encryption import Keyring
from twins.manifest import ArtifactRef, StationUpdateManifest, TwinModelManifest, UpdateRef
from twins.model import TwinModel
from twins.types import Digest, TwinId
from twins.updates import RecordedRound


@dataclass(frozen=True)
class RecordedHistory:
    """A station's history (`twins.updates.History`), read from the archive when it is needed.

    Attributes:
        events: its updates that were recorded in time, in the order of the chain.
        archive: where the artifacts are.
        keyring: opens the station's own sealed updates.
    """

    events: tuple[UpdateSubmitted, ...]
    archive: Archive
    keyring: Keyring

    @property
    def rounds(self) -> tuple[int, ...]:
        """The rounds that the station trained for."""
        return tuple(event.trained_round for event in self.events)

    def load(self) -> Iterator[RecordedRound]:
        """Fetch them.

        Raises:
            TwinsError: an update that can't be fetched or opened; a rule with state can't be rebuilt then.
        """
        for event in self.events:
            manifest = self.archive.manifest(StationUpdateManifest, event.update)
            index = self.archive.index(manifest.index)
            updates, noise = self.archive.payloads(event.update, manifest, index.entries, self.keyring)
            base = base_model(self.archive, event.base)
            yield RecordedRound(event.trained_round, base, updates, manifest.rule, noise)


def base_model(archive: Archive, digest: Digest) -> TwinModel:
    """Fetch the weights of a final model.

    Raises:
        TwinsError: they can't be fetched, or aren't what the digest names.
    """
    return archive.model(archive.manifest(TwinModelManifest, digest).model)


def late_update(
    events: Sequence[UpdateSubmitted], number: int, head: int, max_staleness: int
) -> UpdateSubmitted | None:
    """Return the station's newest training that came too late, if it can still count in a round.

    Args:
        events: all the station's updates, late ones too, in the order of the chain.
        number: of the round that is submitting.
        head: round of the newest final model.
        max_staleness: of the twin's policy, in rounds.

    Returns:
        The late event, or None: there is none, a newer training counts already, or it has become too stale.
    """
    counted = max((event.trained_round for event in events if not event.late), default=0)
    late = max(
        (event for event in events if event.late and event.trained_round > counted),
        key=lambda event: event.trained_round,
        default=None,
    )
    if late is None or late.trained_round >= number or head - late.base_round > max_staleness:
        return None
    return late


def merged_manifest(
    twin: TwinId,
    rule: Rule,
    number: int,
    parent: Digest,
    updates: Sequence[UpdateRef],
    examples: int,
    model: TwinModel,
) -> TwinModelManifest:
    """Return the one manifest that every honest station derives for a round's result.

    Args:
        twin: whose model.
        rule: the twin's tier-2 rule.
        number: of the round.
        parent: the former head.
        updates: the accepted ones, ascending by station.
        examples: behind all of them.
        model: what the rule makes of them.
    """
    return TwinModelManifest(
        twin=twin,
        round=number,
        parent=parent,
        updates=tuple(updates),
        rule=rule,
        model=ArtifactRef.of(model.to_bytes()),
        examples=examples,
        origin={},
    )
