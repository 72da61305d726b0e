"""The programs that come from Debian."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lk.settings import cache_folder
from lk.shell import LocalkubeError, run, run_logged, step

_CLUSTER = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "mount": "mount",
    "openssl": "openssl",
    "ethtool": "ethtool",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
_IMAGES = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}


def _present(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def _install(wanted: dict[str, str]) -> None:
    missing = sorted({package for program, package in wanted.items() if not _present(program)})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise LocalkubeError(f"no apt-get here: install {', '.join(missing)} yourself, then run this again")
    log = cache_folder() / "logs" / "apt.log"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    with step(f"installed {' '.join(missing)} from Debian"):
        if run(install, check=False, environment=environment).returncode != 0:
            run_logged(["apt-get", "update", "-q"], log, environment)
            run_logged(install, log, environment)


def for_cluster() -> None:
    """Install what nodes need."""
    _install(_CLUSTER)


def for_images() -> None:
    """Install what building images needs."""
    _install(_IMAGES)
