"""The programs that are built from Go modules, cached under the sum of what they are built from."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from lk.registry import locked
from lk.settings import BUNDLE_FOLDER, COMPONENTS, HELM_VERSION, KUBERNETES_VERSION, cache_folder
from lk.shell import LocalkubeError, run, run_logged, say, step

_MINIMUM_GO = (1, 24)


def key_of(parts: Iterable[bytes]) -> str:
    """A short name for exactly these inputs, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


_PACKAGES = ("./kubelite", "./coredns", "./pause", "./imagecopy", "helm.sh/helm/v3/cmd/helm")
_COMPILER_FLAGS = "all=-dwarf=false"
"""What a debugger would need is not made: the linker leaves it out in any case."""


def _linker_flags() -> str:
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    named = {f"k8s.io/component-base/version.{name}": value for name, value in values.items()}
    named["helm.sh/helm/v3/internal/version.version"] = HELM_VERSION
    return "-s -w " + " ".join(f"-X {name}={value}" for name, value in named.items())


def programs_folder() -> Path:
    """Holds `kubelite`, a link per component, `coredns`, `helm`, `pause` and `imagecopy`."""
    files = sorted(path for path in BUNDLE_FOLDER.rglob("*") if path.suffix in (".go", ".mod", ".sum"))
    flags = f"{_linker_flags()} {_COMPILER_FLAGS}"
    return cache_folder() / f"programs-{key_of([flags.encode(), *(path.read_bytes() for path in files)])}"


def _go() -> str:
    go = shutil.which("go") or ("/usr/local/go/bin/go" if Path("/usr/local/go/bin/go").exists() else None)
    if go is None:
        raise LocalkubeError("Go is needed to build the cluster's programs: install Go 1.24 or newer")
    shown = run([go, "env", "GOVERSION"]).stdout.strip()
    found = re.match(r"go(\d+)\.(\d+)", shown)
    if found and (int(found[1]), int(found[2])) < _MINIMUM_GO:
        raise LocalkubeError(f"{go} is {shown}: Go 1.24 or newer is needed to build the cluster's programs")
    return go


def _environment() -> dict[str, str]:
    """Static programs; the compiler's scratch files beside the cache, since /tmp may be small."""
    scratch = cache_folder() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    return {**os.environ, "CGO_ENABLED": "0", "GOTMPDIR": str(scratch), "GOFLAGS": "-buildvcs=false"}


def _build() -> None:
    """One call of the compiler for all: what several of them import is compiled once."""
    folder = programs_folder()
    if folder.exists():
        return
    say("building Kubernetes, CoreDNS and Helm (about eight minutes on two cores)")
    scratch = folder.with_suffix(".building")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with step(f"built Kubernetes {KUBERNETES_VERSION}, CoreDNS and Helm {HELM_VERSION}"):
        build: list[str | Path] = [_go(), "build", "-C", BUNDLE_FOLDER, "-trimpath", "-mod=readonly"]
        build += ["-gcflags", _COMPILER_FLAGS, "-ldflags", _linker_flags(), "-o", f"{scratch}/", *_PACKAGES]
        run_logged(build, cache_folder() / "logs" / "build.log", _environment())
    for component in COMPONENTS:
        (scratch / component).symlink_to("kubelite")
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def _link_for_people() -> None:
    folder = cache_folder() / "bin"
    folder.mkdir(exist_ok=True)
    for name in ("kubectl", "helm"):
        fresh = folder / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(programs_folder() / name)
        fresh.replace(folder / name)


def ensure() -> None:
    """Build what is missing. It appears under its name in one step, complete."""
    with locked("programs"):
        _build()
        _link_for_people()


def kubectl() -> Path:
    """The stable name of kubectl."""
    return cache_folder() / "bin" / "kubectl"
