"""The programs that are built from Go modules, each cached under the sum of what it is built from."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from lk.registry import locked
from lk.settings import BUNDLE_FOLDER, COMPONENTS, COREDNS, HELM, KUBERNETES_VERSION, GoProgram, cache_folder
from lk.shell import LocalkubeError, run, run_logged, say, step, together

_MINIMUM_GO = (1, 24)


def key_of(parts: Iterable[bytes]) -> str:
    """A short name for exactly these inputs, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _kubelite_flags() -> str:
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())


_BUNDLE = (
    ("kubelite", _kubelite_flags(), "."),
    ("pause", "-s -w", "./pause"),
    ("imagecopy", "-s -w", "./imagecopy"),
)


def kubelite_folder() -> Path:
    """Holds `kubelite`, a link per component, `pause` and `imagecopy`."""
    files = sorted(path for path in BUNDLE_FOLDER.rglob("*") if path.suffix in (".go", ".mod", ".sum"))
    key = key_of([_kubelite_flags().encode(), *(path.read_bytes() for path in files)])
    return cache_folder() / f"kubelite-{key}"


def program_path(program: GoProgram) -> Path:
    """Where a program built by `go install` is, or will be."""
    key = key_of(text.encode() for text in (program.module_sum, program.version, program.linker_flags))
    return cache_folder() / f"{program.name}-{program.version}-{key}" / program.name


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


def _log(name: str) -> Path:
    return cache_folder() / "logs" / f"build-{name}.log"


def _finish(scratch: Path, folder: Path) -> None:
    """A built folder appears under its name in one step, complete."""
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def _build_kubelite() -> None:
    folder = kubelite_folder()
    if folder.exists():
        return
    say("building Kubernetes (about four minutes on two cores)")
    scratch = folder.with_suffix(".building")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with step(f"built Kubernetes {KUBERNETES_VERSION}"):
        for output, flags, package in _BUNDLE:
            build: list[str | Path] = [
                _go(),
                "build",
                "-C",
                BUNDLE_FOLDER,
                "-trimpath",
                "-mod=readonly",
                "-ldflags",
                flags,
            ]
            run_logged([*build, "-o", scratch / output, package], _log("kubelite"), _environment())
    for component in COMPONENTS:
        (scratch / component).symlink_to("kubelite")
    _finish(scratch, folder)


def _build_program(program: GoProgram) -> None:
    target = program_path(program)
    if target.exists():
        return
    say(f"building {program.name} {program.version} (one to two minutes on two cores)")
    scratch = target.parent.with_suffix(".building")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with step(f"built {program.name} {program.version}"):
        module = f"{program.module}@{program.version}"
        download = [_go(), "mod", "download", "-json", module]
        served = json.loads(run(download, environment=_environment(), folder=scratch).stdout)["Sum"]
        if served != program.module_sum:
            raise LocalkubeError(f"{module} has the sum {served}, not the pinned {program.module_sum}: not built")
        install = [_go(), "install", "-trimpath", "-ldflags", program.linker_flags]
        install.append(f"{program.package}@{program.version}")
        run_logged(install, _log(program.name), {**_environment(), "GOBIN": str(scratch)})
    _finish(scratch, target.parent)


def _link_for_people() -> None:
    folder = cache_folder() / "bin"
    folder.mkdir(exist_ok=True)
    for name, target in (("kubectl", kubelite_folder() / "kubectl"), ("helm", program_path(HELM))):
        fresh = folder / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(folder / name)


def ensure() -> None:
    """Build what is missing, all at once: downloads and links of one fill the gaps of another."""
    with locked("programs"):
        together(_build_kubelite, partial(_build_program, COREDNS), partial(_build_program, HELM))
        _link_for_people()


def kubectl() -> Path:
    """The stable name of kubectl."""
    return cache_folder() / "bin" / "kubectl"
