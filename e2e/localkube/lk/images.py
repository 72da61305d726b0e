"""Loading image archives into nodes."""

from __future__ import annotations

import hashlib
import tarfile
from functools import partial
from pathlib import Path

from lk.layout import NodeLayout
from lk.pause_image import write as write_pause
from lk.programs import kubelite_folder
from lk.shell import LocalkubeError, run, step, together


def _import(node: NodeLayout, archive: Path) -> None:
    run(["ctr", "--address", node.socket, "--namespace", "k8s.io", "images", "import", archive], timeout=900)


def load_pause(node: NodeLayout) -> None:
    """Give a node its sandbox image, from its own disk when it has been there before."""
    archive = node.folder / "pause.tar"
    if archive.exists():
        return
    write_pause(kubelite_folder() / "pause", archive)
    _import(node, archive)


def identity(archive: Path) -> str:
    """What the archive holds, told by its manifest (which names configuration and layers by their sums).

    LocalkubeError when it is not a `docker save` archive or an OCI archive.
    """
    try:
        with tarfile.open(archive) as content:
            for member in content:
                if member.name in ("manifest.json", "index.json"):
                    manifest = content.extractfile(member)
                    return hashlib.sha256(manifest.read() if manifest else b"").hexdigest()
    except (OSError, tarfile.TarError) as problem:
        raise LocalkubeError(f"{archive}: cannot be read as an image archive: {problem}") from problem
    raise LocalkubeError(f"{archive}: no manifest.json in it, so it is not an image archive")


def _load_into(node: NodeLayout, archive: Path, what: str) -> None:
    done = node.folder / "loaded" / what
    if done.exists():
        return
    _import(node, archive)
    done.parent.mkdir(exist_ok=True)
    done.touch()


def load(nodes: list[NodeLayout], archives: list[Path]) -> None:
    """Bring every archive into every node, all nodes at the same time; what a node has already costs nothing."""
    for archive in archives:
        what = identity(archive)
        with step(f"loaded {archive.name} into {len(nodes)} nodes"):
            together(*(partial(_load_into, node, archive, what) for node in nodes))
