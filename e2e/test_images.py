"""What is in the images, and what is not. One that this run did not build is its registry's affair."""

from __future__ import annotations

import re

import pytest

from e2e import images
from e2e.cluster import ClusterProvider
from e2e.image_archive import Archive, read

MIB = 1 << 20
LARGEST_MIB = {images.POSTGRES: 350, images.OPERATOR: 100}
"""Unpacked, more than the base."""
UNWANTED = re.compile(
    r"usr/bin/(gcc|g\+\+|cc|c\+\+|make|ld)(-[0-9.]+)?|(root|home/[^/]+)/\.cache/.+|.*/(pip|setuptools)/__init__\.py"
    r"|var/cache/apt/archives/.+\.deb|var/lib/apt/lists/.+_Packages(\..+)?|.*/ssl-cert-snakeoil\..+"
)
"""Compilers, installers and their caches, and a key that every image would share."""


@pytest.fixture(scope="module")
def archives(provider: ClusterProvider, loaded: None) -> dict[str, Archive]:
    """The archives of our images, by tag."""
    paths = dict(zip((image.tag for image in images.IMAGES), images.build(provider), strict=True))
    return {tag: read(path) for tag, path in paths.items() if path.exists()}


def test_images_are_small(archives: dict[str, Archive]) -> None:
    sizes = {tag: sum(archive.files.values()) / MIB for tag, archive in archives.items()}
    print({tag: f"{size:.0f} MiB more than the base" for tag, size in sizes.items()})
    assert {tag: size for tag, size in sizes.items() if size > LARGEST_MIB[tag]} == {}


def test_images_hold_no_tools_of_their_making(archives: dict[str, Archive]) -> None:
    found = {tag: [name for name in archive.files if UNWANTED.fullmatch(name)] for tag, archive in archives.items()}
    assert not any(found.values()), found


def test_images_do_not_run_as_root(archives: dict[str, Archive]) -> None:
    users = {tag: archive.config["User"] for tag, archive in archives.items()}
    assert all(re.fullmatch(r"[1-9][0-9]*(:[1-9][0-9]*)?", user) for user in users.values()), users
