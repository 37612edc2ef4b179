"""A twin's settings as the chain and its manifest have them: a station takes its own from there, not from flags."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chain.errors import TwinRegistryUnknownTwin
from chain.station import Windows
from chain.values import RoundPolicy
from scripts.cli import BadInputError
from scripts.connections import Network
from scripts.settings import RunSettings, require_possible
from scripts.station_parts import TwinPlan
from twins.archive import Archive
from twins.canonical import Json
from twins.manifest import TwinManifest
from twins.types import twin_id


def recorded_settings(network: Network, archive: Archive, twin: str, trusted: Sequence[str]) -> RunSettings:
    """Return the settings of a registered twin.

    Args:
        network: the consortium.
        archive: where the twin's manifest is.
        twin: its name.
        trusted: data sets and strategies ``module:name`` that the operator has read.

    Raises:
        BadInputError: no such twin, or one that this version, or this operator, can't take part in.
        TwinsError: the manifest can't be fetched, or isn't what the chain names.
        FlError: a data set or strategy that isn't here.
    """
    try:
        record = network.registry.twin_of(twin_id(twin))
    except TwinRegistryUnknownTwin:
        raise BadInputError(
            f"--twin: expected a registered twin, got {twin}; its owner registers it with scripts/rounds.py "
            f"(--enrol-only, if all stations are processes of others)"
        ) from None
    manifest = archive.manifest(TwinManifest, record.manifest)
    settings = settings_of(manifest, record.policy)
    require_trusted(settings, trusted)
    require_possible(settings)
    here = TwinPlan.of(settings).manifest
    # One comparison for everything that could disagree: the settings read from the manifest have to make it again.
    if manifest.name != twin or here != manifest:
        raise BadInputError(
            f"twin {twin}: expected manifest {record.manifest}, as registered, got {here.digest} from its settings "
            f"here; it was made by another version of this program or of the data set {settings.dataset}"
        )
    return settings


def settings_of(manifest: TwinManifest, policy: RoundPolicy) -> RunSettings:
    """Return the settings that a manifest was made from (`scripts.settings.task_of`).

    Args:
        manifest: the twin's own; from its owner, who may have written anything.
        policy: the twin's, from the registry.

    Raises:
        BadInputError: a field is missing or of another type.
    """
    task = manifest.task
    privacy = _typed(task, "privacy", dict) if "privacy" in task else {}
    return RunSettings(
        twin=manifest.name,
        dataset=_typed(task, "dataset", str),
        split=_typed(task, "split", str),
        stations=_typed(task, "stations", int),
        devices=_typed(task, "devices", int),
        strategy=_typed(task, "strategy", str),
        strategy_arguments=spell(_typed(task, "strategy_arguments", dict)),
        seed=_typed(task, "seed", int),
        windows=Windows(policy.min_submit_for, policy.min_attest_for, policy.min_updates, policy.open_grace),
        merge_rule=manifest.merge_rule.name.removeprefix("twinledger/"),
        merge_arguments=spell(manifest.merge_rule.parameters),
        policy=manifest.policy,
        dp=_typed(privacy, "kind", str) if privacy else None,
        dp_arguments=spell(_typed(privacy, "arguments", dict)) if privacy else (),
    )


def spell(arguments: Mapping[str, Json]) -> tuple[str, ...]:
    """Return arguments as ``NAME=VALUE``, as a command line has them: `StrategySpec.parse` reads the same values."""
    return tuple(f"{name}={json.dumps(value)}" for name, value in sorted(arguments.items()))


def require_trusted(settings: RunSettings, trusted: Sequence[str]) -> None:
    """Refuse code that the operator hasn't named: a twin's owner must not decide what a station imports and runs.

    Raises:
        BadInputError: the twin's data set or strategy is somebody's module.
    """
    for what, name in (("data set", settings.dataset), ("strategy", settings.strategy)):
        if ":" in name and name not in trusted:
            raise BadInputError(
                f"twin {settings.twin} runs the {what} {name}: read that code, then allow it with --trust {name}"
            )


def _typed(task: Mapping[str, Json], name: str, kind: type) -> Any:
    value = task.get(name)
    if type(value) is not kind:
        raise BadInputError(f"the twin's manifest: expected a {kind.__name__} as task.{name}, got {value!r}")
    return value
