"""What the tests of images see in an archive."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from e2e.image_archive import read


def _tar(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_layers_above_the_base_count_with_their_last_word(tmp_path: Path) -> None:
    layers = [{"usr/bin/perl": b"base"}, {"./opt/a": b"1234", "opt/b": b"12"}, {"opt/b": b"123456"}]
    files = {f"layer{number}": _tar(layer) for number, layer in enumerate(layers)}
    files["config"] = json.dumps({"config": {"User": "999:999"}}).encode()
    files["manifest.json"] = json.dumps([{"Config": "config", "Layers": sorted(files)[1:]}]).encode()
    path = tmp_path / "image.tar"
    path.write_bytes(_tar(files))
    found = read(path)
    assert found.config == {"User": "999:999"}
    assert found.files == {"opt/a": 4, "opt/b": 6}
