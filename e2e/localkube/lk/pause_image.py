"""The sandbox image, written as a `docker save` archive around one static program."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from lk.settings import PAUSE_IMAGE

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


def _tar(*members: tuple[str, bytes, int]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content, mode in members:
            _add(archive, name, content, mode)
    return whole.getvalue()


def archive(program: bytes) -> bytes:
    """The archive whose image runs `program`; the same bytes for the same program."""
    layer = _tar(("pause", program, 0o755))
    configuration = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "localkube"}],
    }
    config = json.dumps(configuration).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    described = json.dumps(manifest).encode()
    return _tar((config_name, config, 0o644), ("layer.tar", layer, 0o644), ("manifest.json", described, 0o644))


def write(program: Path, target: Path) -> None:
    """Write the archive around the program at `program` to `target`."""
    target.write_bytes(archive(program.read_bytes()))
