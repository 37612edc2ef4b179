"""What holds for the repository as a whole: who imports whom, what is locked, what is never committed."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from scripts import lock, setup
from tests.import_rule import MAY_IMPORT, violations

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 300  # lines
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PACKAGE_LOCK: dict[str, dict[str, Any]] = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
# A folder of one person's machine. The brackets keep this very line from being one.
MACHINE_PATH = re.compile(r"(?<![\w./~$})-])/(?:[w]ork|[r]oot|[h]ome|[U]sers)/[\w.]")


def committed() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listing.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def sources() -> list[Path]:
    return [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


# Who imports whom


def test_every_package_keeps_the_import_rule() -> None:
    assert len(sources()) > 10
    assert violations(ROOT) == []


def test_commands_that_train_nothing_start_without_torch() -> None:
    names = ("deploy", "devnet", "dispute", "grants", "guard", "integrity", "keys")
    program = f"import sys; import {', '.join(f'scripts.{name}' for name in names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("path", "source", "breach"),
    [
        ("twins/a.py", "import fl", "twins imports fl"),
        ("twins/a.py", "import chain.station", "twins imports chain"),
        ("twins/a.py", "from scripts import demo", "twins imports scripts"),
        ("fl/a.py", "from chain.station import Station", "fl imports chain"),
        ("chain/a.py", "def f():\n    import fl.engine as e", "chain imports fl"),
        (
            "chain/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import fl",
            "chain imports fl",
        ),
        ("chain/a.py", "import importlib\nimportlib.import_module('fl.engine')", "chain imports fl"),
        ("chain/a.py", "__import__('fl')", "chain imports fl"),
        ("chain/a.py", "import tests.support", "chain imports tests"),
        ("chain/a.py", "import torch.nn", "imports torch"),
        ("scripts/a.py", "from flwr.app import Context", "imports flwr"),
        ("fl/a.py", "import web3", "imports web3"),
        ("chain/pdp/a.py", "import web3", "imports web3"),
        ("scripts/a.py", "import solcx", "imports solcx"),
        ("twins/store.py", "import ipfshttpclient", "imports ipfshttpclient"),
        ("twins/a.py", "import rich", "twins imports rich"),
        ("fl/a.py", "import os\nx = os.environ['X']", "fl reads os.environ"),
        ("fl/a.py", "import os as o\nx = o.getenv('X')", "fl reads os.getenv"),
        ("chain/a.py", "from os import getenv", "chain reads os.getenv"),
        ("twins/a.py", "import sys\nx = sys.argv[1:]", "twins reads sys.argv"),
        ("devnet/a.py", "import sys\nx = sys.argv[1:]", "devnet reads sys.argv"),
        ("devnet/watcher.py", "import os\nx = os.environ['X']", "devnet reads os.environ"),
        ("devnet/a.py", "import fl", "devnet imports fl"),
        ("devnet/a.py", "from scripts import demo", "devnet imports scripts"),
        ("chain/a.py", "import devnet.admin", "chain imports devnet"),
        ("twins/a.py", "from devnet import admin", "twins imports devnet"),
        ("devnet/a.py", "import web3", "imports web3"),
        ("chain/a.py", "import argparse", "chain imports argparse"),
        ("fl/sub/a.py", "from . import engine", "relative import"),
        ("scripts/a.py", "from ..twins import model", "relative import"),
    ],
)
def test_the_import_rule_catches(tmp_path: Path, path: str, source: str, breach: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    found = violations(tmp_path)
    assert found
    assert any(breach in line and line.startswith(f"{path}:") for line in found)


def test_the_import_rule_allows_each_package_what_is_its_own(tmp_path: Path) -> None:
    allowed = {
        "twins/kubo_rpc.py": "import ipfshttpclient, numpy, os\nx = os.path",
        "fl/engine.py": "import torch, flwr.app\nfrom twins.model import TwinModel",
        "chain/station.py": "import web3, solcx\nfrom twins import store\nfrom chain import events",
        "devnet/tied.py": "import sys\nimport chain, twins\nx = sys.argv",
        "scripts/demo.py": "import os, sys, typer\nimport fl, chain, devnet, twins\nx = os.environ, sys.argv",
    }
    for path, source in allowed.items():
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(source)
    assert violations(tmp_path) == []


def test_no_source_file_is_too_long_to_read_in_one_go() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in sources()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_script_hides_a_module_of_the_same_name() -> None:
    # `python scripts/x.py` puts scripts/ first on the path: a scripts/json.py would become everyone's json.
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {"__init__"}
    scripts |= {path.parent.name for path in (ROOT / "scripts").glob("*/__init__.py")}
    assert scripts & set(sys.stdlib_module_names) == set()
    assert scripts & set(packages_distributions()) == set()


# What is locked


def test_every_python_pin_has_a_hash_and_no_lock_names_a_host() -> None:
    # Go is installed only where it is missing (devnet/toolchain.py), so it has a lock of its own.
    assert {path.name for path in LOCKS} == {"go.txt", *(Path(name).name for name in setup.PYTHON_LOCKS)}
    for path in LOCKS:
        text = path.read_text("utf-8")
        entries = re.split(r"\n(?=\S)", text.replace(" \\\n", " ").strip())
        assert entries
        for entry in entries:
            assert re.fullmatch(r"[\w.-]+==[\w.+!]+( ; [^\\#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+", entry), (
                f"{path.name}: expected name==version with hashes, got {entry[:90]!r}"
            )
        assert "://" not in text


def test_every_python_requirement_is_pinned_to_one_version_and_locked() -> None:
    for path in LOCKS:
        wanted = re.findall(r"(?m)^([^#\s].*)$", path.with_suffix(".in").read_text("utf-8"))
        assert wanted
        locked = path.read_text("utf-8")
        pins = [re.sub(r"\[[\w,-]+\]", "", line) for line in wanted]  # a lock has extras' packages, not their names
        assert [pin for pin in pins if not re.search(rf"(?m)^{re.escape(pin)}\b", locked)] == []


def test_the_uv_that_installs_is_the_uv_that_is_installed() -> None:
    pins = {re.search(r"(?m)^uv==\S+", (ROOT / name).read_text("utf-8"))[0] for name in setup.PYTHON_LOCKS[:2]}  # type: ignore[index]
    assert len(pins) == 1


def test_every_node_package_has_a_hash_and_no_address() -> None:
    packages = {path: entry for path, entry in PACKAGE_LOCK.items() if path}
    assert packages
    assert [path for path, entry in packages.items() if "resolved" in entry] == []
    assert [p for p, entry in packages.items() if not entry.get("optional") and "integrity" not in entry] == []
    # Without a hash only what no registry had when it was locked: other platforms' builds of one engine.
    unhashed = [path for path, entry in packages.items() if "integrity" not in entry]
    assert [path for path in unhashed if not path.startswith("node_modules/@nomicfoundation/edr-")] == []
    assert "://" not in (ROOT / ".npmrc").read_text("utf-8")


def test_node_requirements_are_exact() -> None:
    package = json.loads((ROOT / "package.json").read_text("utf-8"))
    assert PACKAGE_LOCK[""]["devDependencies"] == package["devDependencies"]
    for name, version in package["devDependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name}: expected one version, got {version}"
        assert PACKAGE_LOCK[f"node_modules/{name}"]["version"] == version


def test_locking_keeps_entries_that_npm_leaves_out() -> None:
    parent = {"node_modules/edr": {"version": "2", "optionalDependencies": {"edr-mac": "2", "edr-linux": "2"}}}
    new: lock.Packages = {**parent, "node_modules/edr-linux": {"version": "2"}}
    old: lock.Packages = {**new, "node_modules/edr-mac": {"version": "2", "os": ["darwin"]}}
    assert lock.carry_over(old, new) == ["node_modules/edr-mac"]
    assert new == old


def test_locking_refuses_an_entry_of_another_version() -> None:
    new: lock.Packages = {"node_modules/edr": {"version": "3", "optionalDependencies": {"edr-mac": "3"}}}
    old: lock.Packages = {"node_modules/edr-mac": {"version": "2"}}
    with pytest.raises(setup.SetupError, match="left edr-mac 3"):
        lock.carry_over(old, new)


# What is never committed


def test_no_committed_file_names_a_folder_of_somebody_s_machine() -> None:
    found = []
    for path in committed():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert found == []


@pytest.mark.parametrize("path", ["work/main/x", "root/.venv", "home/ada/x", "Users/ada/x"])
def test_the_check_for_machine_folders_catches(path: str) -> None:
    assert MACHINE_PATH.search(f'cd "/{path}"')
    assert not MACHINE_PATH.search(f"./our/{path}")


def test_nothing_that_is_ignored_is_committed() -> None:
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout == b""


# What tests/conftest.py promises


@pytest.mark.parametrize("call", ["connect", "bind"])
def test_a_unit_test_cannot_open_a_socket(call: str) -> None:
    with socket.socket() as sock, pytest.raises(pytest.fail.Exception, match=rf"socket\.{call}"):
        getattr(sock, call)(("127.0.0.1", 9))


def test_a_unit_test_cannot_look_up_a_name() -> None:
    with pytest.raises(pytest.fail.Exception, match="getaddrinfo"):
        socket.getaddrinfo("localhost", 80)


@pytest.mark.parametrize("marks", ["", "@pytest.mark.unit\n@pytest.mark.integration\n"])
def test_a_test_that_is_not_of_one_kind_fails_the_run(tmp_path: Path, marks: str) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    good = "import pytest\n\n@pytest.mark.unit\ndef test_good(): pass\n"
    (tmp_path / "test_it.py").write_text(f"{good}\n{marks}def test_bad(): pass\n")
    # -m deselects test_bad; it must be seen all the same.
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "unit", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert "test_it.py::test_bad" in done.stderr
    assert "test_it.py::test_good" not in done.stderr
