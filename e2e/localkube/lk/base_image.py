"""The base image for builds, made from Debian packages, and the machine's own settings that builds need."""

from __future__ import annotations

import configparser
import io
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from lk.programs import key_of
from lk.settings import cache_folder
from lk.shell import LocalkubeError, run, run_logged, say, step

BASE_IMAGE = "localhost/debian:trixie-slim"
_SUITE = "trixie"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_CA_BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
_AUTHORITY = "/run/localkube/ca.crt"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DROPPED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)

# What the slim images of Debian leave out too: a package's documentation is never unpacked.
_SLIM = """path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
"""


def mirror_in(sources: Iterable[str]) -> str | None:
    """The first Debian mirror that one of the machine's apt source files names, in either of apt's formats."""
    for text in sources:
        for line in text.splitlines():
            found = re.match(r"(?:URIs:|deb\s+(?:\[[^]]*\]\s+)?)\s*(https?://\S+/debian/?)(?:\s|$)", line.strip())
            if found:
                return found[1]
    return None


def _source_files() -> list[str]:
    folder = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.sources")), *sorted(folder.glob("*.list"))]
    return [path.read_text(errors="replace") for path in files if path.is_file()]


def pip_settings(variables: Mapping[str, str], present: str, authority: str | None) -> str:
    """A pip.conf for builds: the machine's, plus what its PIP_* variables say, with the certificates of the machine.

    `present` is the machine's own pip.conf. Paths of the machine mean nothing in a build and are left out.
    """
    settings = configparser.RawConfigParser()
    settings.read_string(present)
    if not settings.has_section("global"):
        settings.add_section("global")
    for name in ("index-url", "extra-index-url", "trusted-host", "timeout", "retries", "default-timeout"):
        value = variables.get(f"PIP_{name.replace('-', '_').upper()}")
        if value:
            settings.set("global", name, value)
    for section in settings.sections():
        for name in ("find-links", "cert", "cache-dir"):
            settings.remove_option(section, name)
    if authority:
        settings.set("global", "cert", authority)
    text = io.StringIO()
    settings.write(text)
    return text.getvalue()


def apt_settings(dumped: str, authority: str | None) -> str:
    """An apt.conf for builds: how this machine fetches (proxies, validity checks), out of `apt-config dump`."""
    kept = [line for line in dumped.splitlines() if re.match(r'Acquire::(http|https|Check-|Retries)[\w:.-]*\s+"', line)]
    if authority:
        kept.append(f'Acquire::https::CAInfo "{authority}";')
    return "\n".join(kept) + "\n"


def machine_bundle() -> Path | None:
    """The certificates that this machine trusts."""
    return next((path for path in _CA_BUNDLES if path.is_file()), None)


def build_mounts() -> list[str]:
    """`--volume` values that lend a build this machine's way to packages; nothing of it stays in the image."""
    folder = cache_folder() / "images" / "lent"
    folder.mkdir(parents=True, exist_ok=True)
    bundle = machine_bundle()
    authority = _AUTHORITY if bundle else None
    pip = Path("/etc/pip.conf")
    present = pip.read_text() if pip.is_file() else ""
    (folder / "pip.conf").write_text(pip_settings(os.environ, present, authority))
    dumped = run(["apt-config", "dump", "Acquire"], check=False).stdout
    (folder / "apt.conf").write_text(apt_settings(dumped, authority))
    mounts = [f"{folder}/pip.conf:/etc/pip.conf:ro", f"{folder}/apt.conf:/etc/apt/apt.conf.d/99localkube-lent:ro"]
    return mounts + ([f"{bundle}:{_AUTHORITY}:ro"] if bundle else [])


def _key() -> str:
    parts = [_SUITE, _SLIM, *_DROPPED, mirror_in(_source_files()) or ""]
    return key_of(part.encode() for part in parts)


def _prepare(root: Path) -> None:
    for name in _DROPPED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    (root / "etc/dpkg/dpkg.cfg.d/90slim").write_text(_SLIM)
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/hostname").write_text("localhost\n")
    for log in (root / "var/log").rglob("*.log"):
        log.unlink()


def ensure(buildah: list[str]) -> str:
    """Make the base image in buildah's store when it is not there; answers the key of what it was made from."""
    key = _key()
    labelled = f"{BASE_IMAGE}-{key}"
    if run([*buildah, "inspect", "--type", "image", labelled], check=False).returncode == 0:
        return key
    say(f"making a base image of Debian {_SUITE}")
    root = cache_folder() / "images" / f"base-{key}.building"
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    with step("made the base image"):
        mirror = mirror_in(_source_files())
        command = ["debootstrap", "--variant=minbase", f"--keyring={_KEYRING}", _SUITE, str(root)]
        run_logged([*command, *([mirror] if mirror else [])], cache_folder() / "logs" / "debootstrap.log")
        _prepare(root)
        container = run([*buildah, "from", "scratch"]).stdout.strip()
        if not container:
            raise LocalkubeError("buildah made no container")
        run([*buildah, "copy", "--quiet", container, str(root), "/"])
        run([*buildah, "config", "--cmd", "bash", "--env", _PATH, container])
        run([*buildah, "commit", "--quiet", "--rm", container, labelled])
        run([*buildah, "tag", labelled, BASE_IMAGE])
    shutil.rmtree(root)
    return key
