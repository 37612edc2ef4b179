"""The rules of RoundLedger's disputes in plain Python, after its interface's comments; see `ledger_model`."""

from __future__ import annotations

from chain import errors, events
from chain.values import ProvenContribution, Reason, Recorded, RoundStatus
from tests.integration.chain.ledger_model import COMMITMENTS, LedgerModel
from tests.integration.chain.registry_model import Emitted, Outcome, RegistryModel, bits, refused
from twins.contribution import LEAF_TYPES, Contribution, Receipt, SigningDomain, contribution_leaf
from twins.errors import SignatureError
from twins.merkle import leaf_hash, verify_proof
from twins.types import ZERO_DIGEST, Address, Digest, TwinId, digest_bytes, digest_of_bytes

Proof = tuple[bytes, ...]


def leaf_of(contribution: ProvenContribution) -> Digest:
    """Return the hash of a contribution's leaf."""
    leaf = contribution_leaf(contribution.device, contribution.digest, contribution.examples, contribution.signature)
    return digest_of_bytes(leaf_hash(LEAF_TYPES, leaf))


def roster_leaf(device: Address) -> Digest:
    """Return the hash of a device's leaf in a roster."""
    return digest_of_bytes(leaf_hash(("address",), (device,)))


class DisputeModel(LedgerModel):
    """Rounds and disputes."""

    def __init__(self, registry: RegistryModel, domain: SigningDomain) -> None:
        """Nothing yet."""
        super().__init__(registry)
        self.domain = domain

    def _reject(self, twin: TwinId, number: int, station: Address, reason: Reason, evidence: Digest) -> Emitted:
        record = self.twin(twin)
        round_ = record.round
        record.rejected.add((number, station))
        late = number != round_.number or round_.ended is not None
        if not late:
            self._sync(round_)
            self._exclude(round_, self.registry.bit(station))
        told: dict[str, object] = {"twin": twin, "round": number, "station": station, "reason": reason}
        return events.UpdateRejected, told | {"evidence": evidence, "late": late}

    def _uncommitted(self, recorded: Recorded) -> set[type[Exception]]:
        record, update = self.twin(recorded.update.twin), recorded.update
        if update.round + COMMITMENTS <= record.round.number:
            return {errors.RoundLedgerCommitmentGone}
        kept = record.kept.get((recorded.station, update.round % COMMITMENTS))
        return refused((kept != recorded, errors.RoundLedgerUnknownCommitment))

    def _unproven(self, recorded: Recorded, contribution: ProvenContribution, proof: Proof) -> set[type[Exception]]:
        under = verify_proof(recorded.update.contributions, digest_bytes(leaf_of(contribution)), proof)
        return self._uncommitted(recorded) | refused((not under, errors.RoundLedgerBadProof))

    def _already(self, recorded: Recorded) -> set[type[Exception]]:
        key = recorded.update.round, recorded.station
        return refused((key in self.twin(recorded.update.twin).rejected, errors.RoundLedgerAlreadyRejected))

    def signed(self, recorded: Recorded, contribution: ProvenContribution) -> bool:
        """Tell whether the device signed its contribution to this update."""
        update = recorded.update
        statement = Contribution(
            twin=update.twin,
            round=update.trained_round,
            station=recorded.station,
            base=update.base,
            digest=contribution.digest,
            examples=contribution.examples,
        )
        try:
            return statement.signer(self.domain, contribution.signature) == contribution.device
        except SignatureError:
            return False

    def dispute(
        self, now: int, sender: Address, twin: TwinId, number: int, station: Address, evidence: Digest
    ) -> Outcome:
        """Accuse an update."""
        round_ = self.twin(twin).round
        why = self._not_elector(round_, sender) | refused(
            (evidence == ZERO_DIGEST, errors.RoundLedgerZeroValue),
            (number != round_.number, errors.RoundLedgerUnexpectedRound),
            (
                self.status(round_, now) not in (RoundStatus.SUBMITTING, RoundStatus.ATTESTING),
                errors.RoundLedgerUnexpectedStatus,
            ),
        )
        if station not in self.registry.members:
            return why | {errors.TwinRegistryUnknownStation}, []
        bit, accusers = self.registry.bit(station), round_.accusers.setdefault(station, set())
        accuser = self.registry.index(sender) if sender in self.registry.members else -1
        why |= refused(
            (not round_.submitted & bit, errors.RoundLedgerNoUpdate),
            (self.excluded(round_) & bit, errors.RoundLedgerAlreadyRejected),
            (accuser in accusers, errors.RoundLedgerAlreadyDisputed),
        )
        if why:
            return why, []
        accusers.add(accuser)
        told: dict[str, object] = {"twin": twin, "round": number, "station": station, "accuser": sender}
        said: list[Emitted] = [(events.Disputed, told | {"evidence": evidence})]
        if (bits([*accusers]) & self.registry.active).bit_count() >= self.quorum(round_):
            said.append(self._reject(twin, number, station, Reason.QUORUM, evidence))
        return why, said

    def prove_forgery(
        self, now: int, sender: Address, recorded: Recorded, contribution: ProvenContribution, proof: Proof
    ) -> Outcome:
        """Reject an update for a leaf that its device didn't sign."""
        why = self.registry.barred(sender) | self._unproven(recorded, contribution, proof) | self._already(recorded)
        why |= refused((self.signed(recorded, contribution), errors.RoundLedgerHonestContribution))
        if why:
            return why, []
        update = recorded.update
        leaf = leaf_of(contribution)
        return why, [self._reject(update.twin, update.round, recorded.station, Reason.FORGERY, leaf)]

    def prove_double_count(
        self,
        now: int,
        sender: Address,
        one: Recorded,
        contribution: ProvenContribution,
        proof: Proof,
        two: Recorded,
        other: ProvenContribution,
        other_proof: Proof,
    ) -> Outcome:
        """Show that a device signed twice; in one tree the station is to blame."""
        a, b, same = one.update, two.update, one.station == two.station
        why = self.registry.barred(sender)
        why |= self._unproven(one, contribution, proof) | self._unproven(two, other, other_proof)
        # Two counted updates of one station that rest on the same training are no double count by a device.
        no_pair = (a.twin, a.trained_round) != (b.twin, b.trained_round) or (same and a.round != b.round)
        once = same and leaf_of(contribution) == leaf_of(other)
        why |= refused(
            (contribution.device != other.device or no_pair or once, errors.RoundLedgerNoDoubleCount),
        )
        if same:
            why |= self._already(two)
        else:
            signed = self.signed(one, contribution) and self.signed(two, other)
            why |= refused((not signed, errors.RoundLedgerBadSignature))
        if why:
            return why, []
        if same:
            return why, [self._reject(a.twin, a.round, one.station, Reason.DOUBLE_COUNT, leaf_of(other))]
        told: dict[str, object] = {"twin": a.twin, "round": a.round, "device": contribution.device}
        return why, [(events.DeviceEquivocated, told | {"station_a": one.station, "station_b": two.station})]

    def _challenge(
        self, now: int, recorded: Recorded, root: Digest, leaf: Digest, why: set[type[Exception]]
    ) -> Outcome:
        update, record = recorded.update, self.twin(recorded.update.twin)
        key = update.round, recorded.station, root, leaf
        why |= self._already(recorded) | refused((key in record.challenges, errors.RoundLedgerChallengeExists))
        if why:
            return why, []
        until = record.challenges[key] = now + record.round.attest_for // 2
        told: dict[str, object] = {"twin": update.twin, "round": update.round, "station": recorded.station}
        return why, [(events.Challenged, told | {"root": root, "leaf": leaf, "answer_until": until})]

    def challenge_invented(
        self, now: int, sender: Address, recorded: Recorded, contribution: ProvenContribution, proof: Proof
    ) -> Outcome:
        """Say that a device isn't in the roster."""
        why = self.registry.barred(sender) | self._unproven(recorded, contribution, proof)
        return self._challenge(now, recorded, recorded.roster, roster_leaf(contribution.device), why)

    def challenge_omitted(self, now: int, sender: Address, recorded: Recorded, leaf: Digest, receipt: bytes) -> Outcome:
        """Say that a contribution is missing."""
        why = self.registry.barred(sender) | self._uncommitted(recorded)
        statement = Receipt(recorded.update.twin, recorded.update.trained_round, leaf)
        why |= refused(
            (statement.signer(self.domain, receipt) != recorded.station, errors.RoundLedgerBadSignature),
        )
        return self._challenge(now, recorded, recorded.update.contributions, leaf, why)

    def answer_challenge(
        self,
        now: int,
        sender: Address,
        twin: TwinId,
        number: int,
        station: Address,
        root: Digest,
        leaf: Digest,
        proof: Proof,
    ) -> Outcome:
        """End a challenge; an ended one has 0 seconds left and can't be opened again."""
        open_, key = self.twin(twin).challenges, (number, station, root, leaf)
        why = refused(
            (not open_.get(key), errors.RoundLedgerNoChallenge),
            (not verify_proof(root, digest_bytes(leaf), proof), errors.RoundLedgerBadProof),
        )
        if why:
            return why, []
        open_[key] = 0
        told: dict[str, object] = {"twin": twin, "round": number, "station": station, "root": root, "leaf": leaf}
        return why, [(events.ChallengeAnswered, told)]

    def settle_challenge(
        self, now: int, sender: Address, twin: TwinId, number: int, station: Address, root: Digest, leaf: Digest
    ) -> Outcome:
        """Reject an update for a challenge that nobody answered."""
        record, key = self.twin(twin), (number, station, root, leaf)
        until = record.challenges.get(key, 0)
        why = refused(
            (not until, errors.RoundLedgerNoChallenge),
            (now < until, errors.RoundLedgerChallengeOpen),
            ((number, station) in record.rejected, errors.RoundLedgerAlreadyRejected),
        )
        if why:
            return why, []
        record.challenges[key] = 0
        return why, [self._reject(twin, number, station, Reason.CHALLENGE, leaf)]
