"""Building an image from a Dockerfile into an archive that `load` and other engines read."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lk import base_image, packages
from lk.programs import key_of
from lk.registry import locked
from lk.settings import cache_folder
from lk.shell import LocalkubeError, run, run_logged, say, step


@dataclass(frozen=True)
class Request:
    """One build.

    `inputs` are the paths that count for the cache (none: the whole context, less what .dockerignore names); they are
    used when `cached` is set: then an archive built from the same inputs is taken as it is.
    """

    context: Path
    dockerfile: Path | None
    target: str | None
    tag: str
    arguments: tuple[str, ...]
    output: Path
    inputs: tuple[Path, ...]
    cached: bool

    @property
    def recipe(self) -> Path:
        return self.dockerfile or self.context / "Dockerfile"


def _pattern(line: str) -> re.Pattern[str]:
    text = re.escape(line.strip("/")).replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*")
    return re.compile(text.replace(r"\*", "[^/]*").replace(r"\?", "[^/]") + "(/.*)?")


def ignored(path: str, rules: Iterable[str]) -> bool:
    """Whether .dockerignore `rules` leave out `path` (relative to the context); the last rule that fits decides."""
    answer = False
    for rule in rules:
        line = rule.strip()
        if not line or line.startswith("#"):
            continue
        if _pattern(line.removeprefix("!")).fullmatch(path):
            answer = not line.startswith("!")
    return answer


def _files(request: Request) -> list[Path]:
    rules_file = request.context / ".dockerignore"
    rules = [".git", "**/__pycache__", *(rules_file.read_text().splitlines() if rules_file.is_file() else [])]
    roots = [request.context / path for path in request.inputs] or [request.context]
    found: set[Path] = set()
    for root in roots:
        if not root.exists():
            raise LocalkubeError(f"{root}: no such input")
        if not root.is_dir():
            found.add(root)
        for folder, folders, names in os.walk(root):
            here = Path(folder)
            folders[:] = [name for name in folders if name != ".git"]
            found.update(here / name for name in names)
    return sorted(path for path in found if not ignored(str(path.relative_to(request.context)), rules))


def _describe(path: Path, context: Path) -> bytes:
    content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    executable = b"x" if path.lstat().st_mode & 0o100 else b"-"
    return str(path.relative_to(context)).encode() + b"\0" + executable + content


def key(request: Request, base: str) -> str:
    """Names everything that a build's outcome depends on, but for what is fetched from the network."""
    settings = [base, request.target or "", request.tag, *request.arguments]
    parts = [text.encode() for text in settings] + [request.recipe.read_bytes()]
    return key_of([*parts, *(_describe(path, request.context) for path in _files(request))])


def _buildah() -> list[str]:
    """With mounts of its own: a build that fails or is killed leaves none of its layers mounted."""
    store = cache_folder() / "images"
    driver = os.environ.get("STORAGE_DRIVER", "overlay")
    alone = ["unshare", "--mount", "--propagation", "slave", "--"]
    return [*alone, "buildah", "--root", f"{store}/store", "--runroot", f"{store}/run", "--storage-driver", driver]


def _copy(source: Path, target: Path) -> None:
    """A hard link where the file system allows it: archives are large and never written twice in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _run_build(request: Request, buildah: list[str], archive: Path) -> None:
    arguments = list(request.arguments)
    if not any(argument.startswith("BASE_IMAGE=") for argument in arguments):
        arguments.append(f"BASE_IMAGE={base_image.BASE_IMAGE}")
    command = [*buildah, "bud", "--layers", "--pull=false", "--format=docker"]
    command += ["--file", str(request.recipe), "--tag", request.tag]
    command += [word for argument in arguments for word in ("--build-arg", argument)]
    command += [word for mount in base_image.build_mounts() for word in ("--volume", mount)]
    command += ["--target", request.target] if request.target else []
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
    name = re.sub(r"[^a-z0-9.]+", "-", request.tag.lower())
    log = cache_folder() / "logs" / f"image-{name}.log"
    log.unlink(missing_ok=True)
    with step(f"built {request.tag}"):
        run_logged([*command, str(request.context)], log, environment)
    fresh = archive.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with step(f"wrote {archive.name}"):
        run([*buildah, "push", "--quiet", request.tag, f"docker-archive:{fresh}:{request.tag}"])
    fresh.replace(archive)


def build(request: Request) -> None:
    """Build, and leave the archive at the request's output. A failed one is told with the end of its log."""
    if not request.recipe.is_file():
        raise LocalkubeError(f"{request.recipe}: no such Dockerfile")
    packages.for_images()
    buildah = _buildah()
    archives = cache_folder() / "images" / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    with locked("images"):
        base = base_image.ensure(buildah)
        archive = archives / f"{key(request, base)}.tar"
        if request.cached and archive.exists():
            say(f"{request.tag}: nothing has changed since it was built")
        else:
            _run_build(request, buildah, archive)
        os.utime(archive)
        _copy(archive, request.output)
        _forget_old(archives)


def _forget_old(archives: Path, keep: int = 8) -> None:
    by_age = sorted(archives.glob("*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_age[keep:]:
        path.unlink()
