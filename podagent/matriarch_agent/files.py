"""Files of our own: a reader, or a crash, finds the old content or the new one. What the system refuses (a full volume,
a damaged one, a missing permission) is a PostgresError with the path in it, like every other trouble with the data.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from matriarch.words.errors import PostgresError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_BLOCK = 512
"""Bytes that `st_blocks` counts in."""


def file_problem(error: OSError, path: Path | None = None) -> PostgresError:
    """What the system refused, in one line: the path that it names, else `path`, and its words."""
    where = error.filename if error.filename is not None else path
    words = error.strerror or str(error) or type(error).__name__
    return PostgresError(words if where is None else f"{os.fsdecode(where)}: {words}")


@contextmanager
def translated(path: Path | None = None) -> Iterator[None]:
    """Operations on files that raise PostgresError instead of OSError; `path`: what they are about."""
    try:
        yield
    except OSError as error:
        raise file_problem(error, path) from error


def there(path: Path) -> bool:
    """Whether something of that name is there. Raises PostgresError when that cannot be told: that nothing is there
    never follows from a look that failed (rule 7)."""
    with translated(path):
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True


def replace_file(path: Path, text: str, *, durable: bool, mode: int = 0o600, even_when_full: bool = False) -> None:
    """Give a file new content at once. `durable`: it is on the disk when this returns. Raises PostgresError.

    `even_when_full`: on a volume without room the new content is written over the old one, where its blocks suffice.
    A crash may then leave a mixture, so this is for files that are written anew before they count again.
    """
    data = text.encode("utf-8", "surrogateescape")
    with translated(path):
        try:
            _write_beside(path, data, mode, durable=durable)
        except OSError as error:
            if not even_when_full or error.errno not in _NO_ROOM:
                raise
            _write_over(path, data)


def remove_file(path: Path, *, durable: bool) -> None:
    """Remove a file if it is there. Raises PostgresError."""
    with translated(path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        if durable:
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were created, renamed or removed in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_beside(path: Path, data: bytes, mode: int, *, durable: bool) -> None:
    beside = path.with_name(f"{path.name}.matriarch")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            os.fchmod(descriptor, mode)
            _write_all(file.fileno(), data)
            if durable:
                os.fsync(descriptor)
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            os.unlink(beside)
        raise
    if durable:
        sync_folder(path.parent)


def _write_all(descriptor: int, data: bytes) -> None:
    """A volume that has room for a part only takes that, and refuses the rest."""
    while data:
        data = data[os.write(descriptor, data) :]


def _write_over(path: Path, data: bytes) -> None:
    """Write into the blocks that the file has. Empty lines fill up what was longer before, until it is cut off."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        found = os.fstat(descriptor)
        if len(data) > found.st_blocks * _BLOCK:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        _write_all(descriptor, data.ljust(found.st_size, b"\n"))
        with suppress(OSError):
            os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)
