"""Runs several of Flower's commands in one process, as its own program ``flwr`` runs one.

Standard input is a JSON list of commands, each a list of words; standard output a JSON list with what was wrong with
each, empty if nothing was.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from flwr.cli.app import app


def run(words: list[str]) -> str:
    """Run a command; return what was wrong with it."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            app(words, standalone_mode=False)
        except SystemExit as error:
            return said.getvalue()[-500:] or f"exit code {error.code}" if error.code else ""
        except Exception as error:  # Flower's own refusals, and whatever its commands let through
            message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
            return f"{message} {said.getvalue()[-500:]}".strip()
    return ""


if __name__ == "__main__":
    results = [run(words) for words in json.load(sys.stdin)]
    json.dump(results, sys.stdout)
