"""Looking into an image's archive, as `docker save` and buildah write it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Archive(NamedTuple):
    """What an image's archive says: its configuration, and the files of the layers above its base with their sizes."""

    config: dict[str, Any]
    files: dict[str, int]


def read(path: Path) -> Archive:
    """Read it whole; nothing is unpacked. The lowest layer is the base."""
    with tarfile.open(path) as archive:
        (manifest,) = json.load(_member(archive, "manifest.json"))
        config = json.load(_member(archive, manifest["Config"]))["config"]
        files: dict[str, int] = {}
        for layer in manifest["Layers"][1:]:
            files.update(_files(archive, layer))
    return Archive(config, files)


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None, f"{name} is a folder"
    return found


def _files(archive: tarfile.TarFile, layer: str) -> Iterator[tuple[str, int]]:
    with tarfile.open(fileobj=_member(archive, layer)) as content:
        for one in content:
            if one.isfile():
                yield one.name.removeprefix("./"), one.size
