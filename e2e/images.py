"""The product's images: built by the provider, kept by the hash of what they are made from.

`python -m e2e.images` builds what is missing and prints the archives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from e2e.cluster import ClusterProvider, Image, choose
from e2e.cluster.choose import CACHE
from e2e.shell import ROOT

POSTGRES = "matriarch/postgres:17-0.1.0"
OPERATOR = "matriarch/operator:0.1.0"
PATRONI = "matriarch/patroni-bench:4.1.5"

OPERATOR_IMAGE = Image(OPERATOR, ROOT / "Dockerfile", ROOT, "operator")
IMAGES = (Image(POSTGRES, ROOT / "Dockerfile", ROOT, "postgres"), OPERATOR_IMAGE)
PATRONI_IMAGE = Image(PATRONI, ROOT / "bench" / "patroni" / "Dockerfile", ROOT / "bench" / "patroni")

_SOURCES = {
    "postgres": ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements/agent.txt", "core", "podagent"),
    "operator": ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements/operator.txt", "core", "operator"),
    None: ("bench/patroni",),
}


def fingerprint(paths: Iterable[Path], salt: str = "") -> str:
    """A hash of files' names and contents; folders are walked, caches left out. What is missing counts as missing."""
    digest = hashlib.sha256(salt.encode())
    for path in sorted(_files(paths)):
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from (
                one
                for one in path.rglob("*")
                if one.is_file() and "__pycache__" not in one.parts and one.suffix != ".pyc"
            )
        elif path.exists():
            yield path


def mark(image: Image, builder: str = "") -> str:
    """What the image is made from, in some characters: the same tag with another mark is another image."""
    salt = f"{builder}{image.tag}{sorted(image.build_args.items())}"
    return fingerprint([ROOT / one for one in _SOURCES[image.target]], salt)


def build(provider: ClusterProvider, images: Sequence[Image] = IMAGES) -> list[Path]:
    """Archives of the images, built when their sources changed."""
    folder = CACHE / "images"
    folder.mkdir(parents=True, exist_ok=True)
    archives = []
    for image in images:
        stem = image.tag.replace("/", "_").replace(":", "_")
        archive = folder / f"{stem}-{mark(image, provider.name)}.tar"
        if not archive.exists():
            unfinished = archive.with_suffix(".tar.part")
            unfinished.unlink(missing_ok=True)
            provider.build(image, unfinished)
            if unfinished.exists():
                unfinished.rename(archive)
                _forget_older(folder, stem, archive)
        archives.append(archive)
    return archives


def _forget_older(folder: Path, stem: str, kept: Path) -> None:
    for one in folder.glob(f"{stem}-*.tar"):
        if one != kept:
            one.unlink()


def main() -> None:
    """Build and say where the archives are."""
    provider = choose()
    for archive in build(provider):
        print(archive)


if __name__ == "__main__":
    main()
