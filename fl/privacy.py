"""Differential privacy at tier 1: Flower's wrappers, with noise that an auditor can draw again.

A wrapper bounds how far any one device can move the mean of its station, and adds Gaussian noise in proportion. The
noise comes from 32 secret bytes, which travel with the devices' updates, sealed: whoever has the bytes can aggregate
again bit for bit, and take the noise off (ADR 13 says what that means).

Sources: McMahan et al., Learning Differentially Private Recurrent Language Models, 2018 (fixed clipping); Andrew et
al., Differentially Private Learning with Adaptive Clipping, 2021.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from types import MappingProxyType

import numpy as np
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideFixedClipping,
    DifferentialPrivacyServerSideAdaptiveClipping,
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
    Strategy,
)

from fl.arguments import held, parse_arguments, require_known
from fl.errors import StrategyError
from twins.canonical import Json
from twins.model import TwinModel
from twins.types import Digest, digest_bytes
from twins.updates import NOISE, DeviceUpdate, update_norm

VERSION = 1
"""Of what stands in a rule and is computed here: another number, another computation."""

_MANY = 2**20  # devices: enough for every argument that could be right for some number of them
_SLACK = 2.0**-20  # of the clipping norm, and 2^-23 of the base's norm: what float32 does to an update just clipped
_LOCK = RLock()


class _AdaptiveClipping(DifferentialPrivacyServerSideAdaptiveClipping):
    """Flower's, with the norm that follows the devices.

    Flower 1.41 counts the updates that were clipped where the algorithm (Andrew et al., algorithm 1) counts those that
    were not, so its norm shrinks while it clips everybody and grows while it clips nobody. It also scales the noise of
    a round by the norm of the next one.
    """

    next_norm: float

    def _geometric_update(self, clipped_fraction: float) -> None:
        unclipped = 1.0 - clipped_fraction
        step = self.clip_norm_lr * (unclipped - self.target_clipped_quantile)
        self.next_norm = self.clipping_norm * math.exp(-step)


_WRAPPERS: Mapping[str, type[Strategy]] = MappingProxyType(
    {
        "fixed": DifferentialPrivacyServerSideFixedClipping,
        "adaptive": _AdaptiveClipping,
        "client": DifferentialPrivacyClientSideFixedClipping,
    }
)

KINDS = tuple(_WRAPPERS)
"""Who clips and how: the station by a given norm, the station by one that adapts, the device."""

_FIXED = ("noise_multiplier", "clipping_norm")
_ADAPTIVE = (
    "noise_multiplier",
    "initial_clipping_norm",
    "target_clipped_quantile",
    "clip_norm_lr",
    "clipped_count_stddev",
)


@dataclass(frozen=True)
class PrivacySpec:
    """A kind of differential privacy and its arguments.

    Law: ``PrivacySpec.from_json(p.to_json()) == p``.

    Attributes:
        kind: one of `KINDS`.
        arguments: of Flower's wrapper, all numbers: ``noise_multiplier`` (standard deviation of the noise over the
            clipping norm), ``clipping_norm`` (L2, over all parameters); for ``adaptive`` instead
            ``initial_clipping_norm``, ``target_clipped_quantile`` (share of updates to leave unclipped),
            ``clip_norm_lr`` and ``clipped_count_stddev``.
    """

    kind: str
    arguments: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could work for no number of devices.

        Raises:
            StrategyError: unknown kind, an argument unknown, missing, no number or out of range.
        """
        if self.kind not in KINDS:
            raise StrategyError(f"unknown privacy {self.kind!r}: expected one of {', '.join(KINDS)}")
        what = f"privacy {self.kind}"
        object.__setattr__(self, "arguments", held(what, self.arguments))
        accepted, required = (_ADAPTIVE, _ADAPTIVE[:1]) if self.kind == "adaptive" else (_FIXED, _FIXED)
        require_known(what, self.arguments, accepted, required)
        for name, value in self.arguments.items():
            if type(value) not in (int, float):  # True would be a norm of 1
                raise StrategyError(f"{what}: argument {name}: expected a number, got {value!r}")
        self.wrap(FedAvg(fraction_evaluate=0.0), _MANY)

    @classmethod
    def parse(cls, kind: str, arguments: Sequence[str]) -> PrivacySpec:
        """Read ``NAME=VALUE`` arguments.

        Raises:
            StrategyError: as `parse_arguments` and the constructor.
        """
        return cls(kind, parse_arguments(f"privacy {kind}", arguments))

    def to_json(self) -> dict[str, Json]:
        """Return what a rule records of it."""
        return {"kind": self.kind, "version": VERSION, "arguments": dict(self.arguments)}

    @classmethod
    def from_json(cls, body: Json) -> PrivacySpec:
        """Read a recorded rule's; it comes from somebody who may lie.

        Raises:
            StrategyError: another version, not as `to_json` makes it, or arguments that don't work.
        """
        if not isinstance(body, dict) or set(body) != {"kind", "version", "arguments"}:
            raise StrategyError(f"privacy in a rule: expected kind, version and arguments, got {body!r}")
        if type(body["version"]) is not int or body["version"] != VERSION:
            raise StrategyError(f"privacy in a rule: expected version {VERSION}, got {body['version']!r}")
        if not isinstance(body["kind"], str) or not isinstance(body["arguments"], dict):
            raise StrategyError(f"privacy in a rule: expected a kind and its arguments, got {body!r}")
        return cls(body["kind"], body["arguments"])

    def wrap(self, strategy: Strategy, devices: int, norm: float | None = None) -> Strategy:
        """Return Flower's wrapper around a strategy.

        Args:
            strategy: that takes the mean.
            devices: whose updates are in it: one device moves it by the clipping norm over this, at most.
            norm: to clip by in this round, where it adapts.

        Raises:
            StrategyError: arguments that don't work with so many devices.
        """
        adapted = {} if norm is None else {"initial_clipping_norm": norm}
        try:
            return _WRAPPERS[self.kind](strategy, num_sampled_clients=devices, **{**self.arguments, **adapted})  # type: ignore[call-arg]
        except Exception as error:  # third-party code: whatever it raises, there is no strategy
            raise StrategyError(
                f"privacy {self.kind} with {dict(self.arguments)} and {devices} devices: {error}"
            ) from error

    def next_norm(self, wrapper: Strategy) -> float | None:
        """Return what to clip by in the next round: None for the same as ever."""
        return wrapper.next_norm if isinstance(wrapper, _AdaptiveClipping) else None

    def bound(self, base: TwinModel) -> float | None:
        """Return how far from the base an update may be that its device has clipped; None if the station clips.

        A device that doesn't clip would move the mean by more than the noise hides.
        """
        if self.kind != "client":
            return None
        zero = TwinModel({name: np.zeros_like(array) for name, array in base.tensors.items()})
        return float(self.arguments["clipping_norm"]) * (1 + _SLACK) + update_norm(base, zero) * 2.0**-23


def noise_of(seed: bytes, base: Digest, updates: Sequence[DeviceUpdate]) -> bytes:
    """Return the bytes that one aggregate's noise is drawn from.

    They depend on what is aggregated: the same noise on two aggregates would cancel in their difference.

    Args:
        seed: `NOISE` secret bytes of the station for this round.
        base: what was trained on.
        updates: in the order of aggregation.

    Raises:
        StrategyError: a seed of another length.
    """
    if len(seed) != NOISE:
        raise StrategyError(f"seed of a round's noise: expected {NOISE} bytes, got {len(seed)}")
    drawn = hmac.new(seed, b"twinledger/noise/1" + digest_bytes(base), hashlib.sha256)
    for update in updates:
        drawn.update(digest_bytes(update.digest))
    return drawn.digest()


@contextmanager
def drawn_from(noise: bytes) -> Iterator[None]:
    """Let NumPy's global generator, which Flower's noise comes from, start from these bytes; then it is as it was.

    A ``RandomState`` gives the same numbers in every version of NumPy (NEP 19). The lock keeps stations that run in
    threads of one process from drawing each other's.
    """
    with _LOCK:
        before = np.random.get_state()
        np.random.set_state(np.random.RandomState(np.frombuffer(noise, dtype="<u4")).get_state())
        try:
            yield
        finally:
            np.random.set_state(before)
