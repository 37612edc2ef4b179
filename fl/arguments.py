"""Arguments by name, for strategies and what wraps them: from a command line, and as manifests hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from fl.errors import StrategyError
from twins import canonical
from twins.canonical import Json
from twins.errors import FormatError


def parse_arguments(what: str, arguments: Sequence[str]) -> dict[str, Json]:
    """Read ``NAME=VALUE``; values are JSON (``0.1``, ``true``), anything else a text.

    Args:
        what: whose arguments, for the message.
        arguments: in any order.

    Raises:
        StrategyError: no pair, or a name twice.
    """
    values: dict[str, Json] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key:
            raise StrategyError(f"{what} argument {argument!r}: expected NAME=VALUE")
        if key in values:
            raise StrategyError(f"{what} argument {key}: expected once, got it twice")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def held(what: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """Return arguments as a manifest gives them back, so that the live path and the replay compute with equals.

    Raises:
        StrategyError: arguments that no manifest can hold, NaN say.
    """
    try:
        return dict(canonical.decode(canonical.encode(dict(arguments))))
    except FormatError as error:
        raise StrategyError(f"{what} with {dict(arguments)}: {error}") from error


def require_known(what: str, arguments: Mapping[str, Json], accepted: Sequence[str], required: Sequence[str]) -> None:
    """Refuse arguments that nobody takes, and the lack of one that is needed.

    Raises:
        StrategyError: naming what is accepted, unknown and missing.
    """
    unknown = sorted(set(arguments) - set(accepted))
    missing = sorted(set(required) - set(arguments))
    if unknown or missing:
        raise StrategyError(
            f"{what}: expected the arguments {', '.join(accepted) or '(none)'}"
            + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            + (f"; missing: {', '.join(missing)}" if missing else "")
        )
