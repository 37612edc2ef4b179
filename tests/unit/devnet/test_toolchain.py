from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from chain.errors import DevnetError
from devnet import toolchain
from devnet.toolchain import GETH, IPFS, Source, find_or_build

pytestmark = pytest.mark.unit

# Stands in for Go: notes what it was asked, and "builds" a program that says what version it is.
GO = """#!/bin/sh
if [ "$1" = env ]; then echo go{go}; exit 0; fi
echo "$@ | $GOFLAGS | $CGO_ENABLED | $GOTOOLCHAIN | $GOPROXY | $GOMODCACHE" >> {log}
while [ "$1" != -o ]; do shift; done
{slow}
printf '#!/bin/sh\\necho Version: {version}-stable\\n' > "$2"; chmod 700 "$2"
exit {code}
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A module that pins a program to 1.2.3."""
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "go.mod").write_text(
        "module x\n\ngo 1.26.4\n\nrequire (\n\texample.org/tool v1.2.3 // indirect\n)\n"
    )
    (tmp_path / "module" / "go.sum").write_text("example.org/tool v1.2.3 h1:abc=\n")
    return Source("tool", tmp_path / "module", "example.org/tool", "example.org/tool/cmd", ("build",), ("version",))


@pytest.fixture(autouse=True)
def both_programs_are_that_one(monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
    monkeypatch.setattr(toolchain, "GETH", source)
    monkeypatch.setattr(toolchain, "IPFS", source)


def go(folder: Path, *, version: str = "1.2.3", code: int = 0, slow: str = "", release: str = "1.26.4") -> Path:
    folder.mkdir(exist_ok=True)
    text = GO.format(go=release, log=folder / "log", version=version, code=code, slow=slow)
    (folder / "go").write_text(text)
    (folder / "go").chmod(0o700)
    return folder


def search_path(*folders: Path) -> str:
    return os.pathsep.join((*map(str, folders), "/usr/bin", "/bin"))


def builds(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines() if (folder / "log").exists() else []


def test_the_pins_are_those_of_the_modules() -> None:
    assert GETH.pinned == "1.13.15"  # the last geth with Clique
    assert IPFS.pinned == "0.42.0"
    assert GETH.go == IPFS.go == (1, 26, 4)


def test_a_stamp_changes_with_every_pin_hash_and_option(source: Source) -> None:
    stamps = {source.stamp, Source(**{**source.__dict__, "flags": ("build", "-x")}).stamp}
    for name in ("go.mod", "go.sum"):
        with (source.folder / name).open("a") as file:
            file.write("// more\n")
        stamps.add(source.stamp)
    assert len(stamps) == 4


def test_what_is_built_is_built_once(tmp_path: Path) -> None:
    tools, said = go(tmp_path / "tools"), list[str]()
    first = find_or_build(tmp_path / "cache", search_path(tools), said.append)
    assert find_or_build(tmp_path / "cache", search_path(tools), said.append) == first
    assert len(builds(tools)) == 1
    assert said[0] == "building tool 1.2.3: minutes, once"
    assert [line.rpartition(" in ")[0] for line in said[1:]] == ["built tool 1.2.3"]
    assert first.geth.read_text().endswith("1.2.3-stable\n")


def test_a_program_of_the_pinned_version_on_the_path_is_used_and_any_other_is_not(tmp_path: Path) -> None:
    tools = go(tmp_path / "tools")
    for version, used in (("1.2.3", True), ("1.2.30", False), ("11.2.3", False), ("1.2.2", False)):
        (tools / "tool").write_text(f"#!/bin/sh\necho Version: {version}\n")
        (tools / "tool").chmod(0o700)
        found = find_or_build(tmp_path / f"cache-{version}", search_path(tools), lambda text: None)
        assert (found.geth == tools / "tool") == used, version


def test_the_users_settings_reach_go_but_not_those_that_would_change_the_program(tmp_path: Path) -> None:
    tools = go(tmp_path / "tools")
    given = {"GOFLAGS": "-tags=evil", "CGO_ENABLED": "1", "GOTOOLCHAIN": "auto", "GOPROXY": "https://mirror.example"}
    find_or_build(tmp_path / "cache", search_path(tools), lambda text: None, given)
    (line,) = builds(tools)
    assert line.split(" | ")[1:] == [
        "-mod=readonly -modcacherw", "0", "local", "https://mirror.example", str(tmp_path / "cache" / "mod"),
    ]  # fmt: skip


def test_gos_own_caches_are_used_where_the_user_has_some(tmp_path: Path) -> None:
    tools = go(tmp_path / "tools")
    (tmp_path / "home" / "go" / "pkg" / "mod").mkdir(parents=True)
    find_or_build(tmp_path / "cache", search_path(tools), lambda text: None, {"HOME": str(tmp_path / "home")})
    assert builds(tools)[0].endswith(str(tmp_path / "home" / "go" / "pkg" / "mod"))


@pytest.mark.parametrize(
    ("version", "code", "reason"), [("1.2.3", 7, "exit code 0, got 7"), ("1.2.4", 0, "says otherwise")]
)
def test_a_build_that_fails_leaves_nothing_that_looks_finished(
    tmp_path: Path, version: str, code: int, reason: str
) -> None:
    tools = go(tmp_path / "tools", version=version, code=code)
    with pytest.raises(DevnetError, match=reason):
        find_or_build(tmp_path / "cache", search_path(tools), lambda text: None)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]
    good = go(tmp_path / "tools")
    assert find_or_build(tmp_path / "cache", search_path(good), lambda text: None).geth.exists()


def test_two_builds_at_once_are_one_and_the_second_waits(tmp_path: Path) -> None:
    tools, said = go(tmp_path / "tools", slow="sleep 0.5"), list[str]()
    threads = [
        threading.Thread(target=find_or_build, args=(tmp_path / "cache", search_path(tools), said.append))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds(tools)) == 1
    assert "another build is running; waiting for it" in said


def test_a_go_that_is_too_old_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = go(tmp_path / "tools", release="1.26.3")
    wheel = (
        tmp_path / "cache" / f"go-{toolchain.hashlib.sha256(toolchain.GO_LOCK.read_bytes()).hexdigest()[:16]}" / "go"
    )
    (wheel / "src").mkdir(parents=True)
    go(wheel / "bin")
    find_or_build(tmp_path / "cache", search_path(tools), lambda text: None)
    assert builds(tools) == []
    assert len(builds(wheel / "bin")) == 1
