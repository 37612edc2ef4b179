"""The rules that a recorded round must satisfy, as pure functions: no chain, no store, no clock.

A station applies them before it attests, an auditor years later; both get the same findings. Each function yields
what is wrong and yields nothing when all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from chain.events import RoundFinal, UpdateSubmitted
from twins.errors import TwinsError
from twins.manifest import StationUpdateManifest, TwinModelManifest
from twins.model import Schema, TwinModel
from twins.types import Address
from twins.updates import device_order


@dataclass(frozen=True)
class Finding:
    """One thing that is not as the record says.

    Attributes:
        check: name of the rule, e.g. ``device-signature``.
        where: round, station, device or artifact concerned.
        expected: what the record demands.
        got: what is there.
    """

    check: str
    where: str
    expected: str
    got: str

    def __str__(self) -> str:
        """One line: rule, place, expected, got."""
        return f"{self.check} [{self.where}]: expected {self.expected}, got {self.got}"


def compare(check: str, where: str, expected: Mapping[str, object], got: Mapping[str, object]) -> Iterator[Finding]:
    """Yield a finding for every key whose values differ."""
    for key, value in expected.items():
        if got[key] != value:
            yield Finding(check, f"{where}, {key}", str(value), str(got[key]))


def check_update_manifest(recorded: UpdateSubmitted, manifest: StationUpdateManifest) -> Iterator[Finding]:
    """Hold a station's manifest against what it recorded on the chain.

    Stops a station that shows auditors another story than it told the ledger.
    """
    keys = ("twin", "round", "trained_round", "station", "base_round", "base", "contributions", "examples")
    where = f"round {recorded.round}, station {recorded.station}"
    yield from compare(
        "update-manifest",
        where,
        {key: getattr(recorded, key) for key in keys},
        {key: getattr(manifest, key) for key in keys},
    )


def check_model_manifest(
    final: RoundFinal, accepted: Mapping[Address, UpdateSubmitted], manifest: TwinModelManifest
) -> Iterator[Finding]:
    """Hold a final model's manifest against the chain: parent, and exactly the accepted updates.

    Stops a quorum that rewrites a parent, leaves a station out or counts one twice.
    """
    where = f"round {final.round}"
    order = sorted(accepted, key=device_order)
    yield from compare(
        "model-manifest",
        where,
        {
            "twin": final.twin,
            "round": final.round,
            "parent": final.parent,
            "updates": [(station, accepted[station].update) for station in order],
            "examples": sum(accepted[station].examples for station in order),
            "origin": {},
        },
        {
            "twin": manifest.twin,
            "round": manifest.round,
            "parent": manifest.parent,
            "updates": [(ref.station, ref.update) for ref in manifest.updates],
            "examples": manifest.examples,
            "origin": manifest.origin,
        },
    )


def check_model(model: TwinModel, schema: Schema, where: str) -> Iterator[Finding]:
    """Refuse a model of another shape, or with NaN or infinity."""
    for rule, check in (
        ("schema", lambda: model.require_schema(schema, where)),
        ("finite", lambda: model.require_finite(where)),
    ):
        yield from _attempt(rule, where, check)


def check_recomputed(
    check: str, where: str, recorded: TwinModel, recompute: Callable[[], TwinModel]
) -> Iterator[Finding]:
    """Recompute an aggregate and compare bit for bit.

    Args:
        check: ``tier-1`` or ``tier-2``.
        where: place.
        recorded: the model that the record names.
        recompute: the rule on the recorded inputs.
    """
    try:
        expected = recompute()
    except TwinsError as error:
        yield Finding(check, where, "inputs that can be aggregated", str(error))
        return
    if expected != recorded:
        yield Finding(
            check,
            where,
            f"the aggregate of the recorded updates, bit for bit ({_summary(expected)})",
            f"another model ({_distance(expected, recorded)})",
        )


def _attempt(check: str, where: str, action: Callable[[], None]) -> Iterator[Finding]:
    try:
        action()
    except TwinsError as error:
        yield Finding(check, where, "a model as the twin declares", str(error))


def _summary(model: TwinModel) -> str:
    return f"{model.parameter_count()} parameters"


def _distance(expected: TwinModel, got: TwinModel) -> str:
    if expected.schema() != got.schema():
        return "of another schema"
    pairs = [(expected.tensors[name].ravel(), got.tensors[name].ravel()) for name in expected.tensors]
    # By bits, as models are compared: 0.0 differs from -0.0, and an infinity doesn't differ from itself.
    masks = [a.view(np.uint32) != b.view(np.uint32) for a, b in pairs]
    differing = sum(int(mask.sum()) for mask in masks)
    distances = [np.abs(a[m].astype(np.float64) - b[m]) for (a, b), m in zip(pairs, masks, strict=True)]
    largest = float(np.concatenate(distances).max(initial=0))
    return f"{differing} values differ, by up to {largest:.3g}"


def findings_text(findings: Iterable[Finding]) -> str:
    """One finding a line."""
    return "\n".join(str(finding) for finding in findings)
