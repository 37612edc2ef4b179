"""Flower's ServerApp around a function: the only thing that a station needs of Flower to be one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fl.deployed import SuperLink

Main = Callable[[SuperLink, Mapping[str, object]], None]
"""Runs a whole station, with what the run's configuration says."""


def server_app(main: Main) -> ServerApp:
    """Return a ServerApp that runs ``main``."""
    app = ServerApp()

    @app.main()
    def run(grid: Grid, context: Context) -> None:
        main(SuperLink(grid), context.run_config)

    return app
