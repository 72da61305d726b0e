"""Loading image archives into nodes."""

from __future__ import annotations

import hashlib
import tarfile
from functools import partial
from pathlib import Path

from lk import image_store
from lk.layout import NodeLayout
from lk.pause_image import write as write_pause
from lk.programs import programs_folder
from lk.shell import CommandFailed, LocalkubeError, run, say, step, together


def _import(node: NodeLayout, archive: Path) -> None:
    run(["ctr", "--address", node.socket, "--namespace", "k8s.io", "images", "import", archive], timeout=900)


def load_pause(node: NodeLayout) -> None:
    """Give a node its sandbox image, from its own disk when it has been there before."""
    archive = node.folder / "pause.tar"
    if archive.exists():
        return
    write_pause(programs_folder() / "pause", archive)
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


def _marker(node: NodeLayout, what: str) -> Path:
    return node.folder / "loaded" / what


def _give(node: NodeLayout, archive: Path, what: str, names: list[str]) -> None:
    try:
        image_store.copy(what, names, node.socket, node.containerd)
    except CommandFailed as refused:
        say(f"{node.node.name}: reads {archive.name} itself, since links did not do: {refused}")
        _import(node, archive)
    _mark(node, what, names)


def _mark(node: NodeLayout, what: str, names: list[str]) -> None:
    """The node has this archive now. An earlier one that had an image of the same name has lost it to this one."""
    marker = _marker(node, what)
    marker.parent.mkdir(exist_ok=True)
    for other in marker.parent.iterdir():
        if other != marker and not set(names).isdisjoint(other.read_text().split()):
            other.unlink()
    marker.write_text("\n".join(names))


def load(nodes: list[NodeLayout], archives: list[Path]) -> None:
    """Bring every archive into every node; what a node has already costs nothing."""
    wanted = [(archive, identity(archive)) for archive in archives]
    missing = [
        (archive, what, lacking)
        for archive, what in wanted
        if (lacking := [node for node in nodes if not _marker(node, what).exists()])
    ]
    if not missing:
        say("every node has these images already")
        return
    with image_store.running():
        for archive, what, lacking in missing:
            with step(f"loaded {archive.name} into {len(lacking)} nodes"):
                names = image_store.names_of(archive, what)
                together(*(partial(_give, node, archive, what, names) for node in lacking))
