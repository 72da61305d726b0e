"""Images unpacked once and kept between clusters, in a containerd that runs only while images are loaded.

Reading an archive into a containerd costs tens of seconds of work. So that is done once, into this store, and nodes get
hard links of what it then holds (`bundle/imagecopy`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lk import cgroups, processes
from lk.programs import programs_folder
from lk.registry import locked
from lk.settings import cache_folder
from lk.shell import LocalkubeError, run, wait_until

_GROUP = "localkube-image-store"
_NAMESPACE = "k8s.io"
_KEPT = 8
_UNPACKED = re.compile(r"^unpacking (\S+) \(sha256:", re.MULTILINE)


def folder() -> Path:
    """The store's place; it may be removed whenever no load runs."""
    return cache_folder() / "images" / "unpacked"


def socket() -> Path:
    return folder() / "containerd.sock"


def ctr(at: Path, *words: str | Path) -> str:
    """What containerd's own client prints, talking to the socket `at`."""
    return run(["ctr", "--address", at, "--namespace", _NAMESPACE, *words], timeout=900).stdout


def _configuration() -> str:
    return f"""version = 2
root = "{folder() / "root"}"
state = "{folder() / "state"}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket()}"
"""


def _answers() -> bool:
    return run(["ctr", "--address", socket(), "--connect-timeout", "1s", "version"], check=False).returncode == 0


@contextmanager
def running() -> Iterator[None]:
    """Run the store's containerd, for one localkube at a time. It has mounts of its own, which end with it."""
    with locked("image-store"):
        cgroups.kill(_GROUP)
        (folder() / "names").mkdir(parents=True, exist_ok=True)
        configuration = folder() / "containerd.toml"
        configuration.write_text(_configuration())
        command = ["unshare", "--mount", "--propagation", "slave", "--", "setpriv", "--pdeathsig", "KILL", "--"]
        log = cache_folder() / "logs" / "image-store.log"
        log.unlink(missing_ok=True)
        try:
            words = [*command, "containerd", "--config", str(configuration)]
            processes.start(_GROUP, words, log=log, folder=folder())
            wait_until(f"the image store (see {log})", _answers, seconds=30, every=0.05)
            yield
        finally:
            cgroups.kill(_GROUP)
            cgroups.remove(_GROUP)


def _kept_name(what: str, name: str) -> str:
    return f"store.localkube/{what}/{name}"


def names_of(archive: Path, what: str) -> list[str]:
    """The names of the archive's images, which are in the store afterwards. `what` identifies the archive's content.

    Each image is kept under a name of its own, so that another archive with an image of the same name changes nothing.
    """
    known = folder() / "names" / what
    if not known.exists():
        names = _UNPACKED.findall(ctr(socket(), "images", "import", archive))
        if not names:
            raise LocalkubeError(f"{archive}: no image with a name in it")
        for name in names:
            ctr(socket(), "images", "tag", "--force", name, _kept_name(what, name))
            ctr(socket(), "images", "rm", name)
        known.write_text("\n".join(names))
        _forget_old()
    known.touch()
    return known.read_text().split()


def _forget_old() -> None:
    by_age = sorted((folder() / "names").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[_KEPT:]:
        names = path.read_text().split()
        path.unlink()
        ctr(socket(), "images", "rm", "--sync", *(_kept_name(path.name, name) for name in names))


def copy(what: str, names: list[str], node_socket: Path, node_root: Path) -> None:
    """Give the containerd at `node_socket`, with its data in `node_root`, images of the store; else CommandFailed."""
    program = programs_folder() / "imagecopy"
    sides = ["-from", f"{socket()}={folder() / 'root'}", "-to", f"{node_socket}={node_root}"]
    pairs = [f"{_kept_name(what, name)}={name}" for name in names]
    run([program, "-namespace", _NAMESPACE, *sides, *pairs], timeout=300)
