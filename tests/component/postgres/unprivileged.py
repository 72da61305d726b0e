"""Postgres refuses to run as root, and the tests do: switch this process to the `postgres` user and back.

CAP_DAC_READ_SEARCH is kept and handed to children, since Python itself may lie in root's home.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

_DAC_READ_SEARCH = 2
_SET_KEEPCAPS = 8
_CAP_AMBIENT = 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_VERSION_3 = 0x20080522


def postgres_user() -> pwd.struct_passwd:
    """The account that Postgres runs under here."""
    return pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())


@contextmanager
def as_postgres() -> Iterator[None]:
    """Be the `postgres` user, really and effectively, inside the block. Nothing to do when not root."""
    if os.getuid() != 0:
        yield
        return
    user, libc = postgres_user(), ctypes.CDLL(None, use_errno=True)
    groups, permitted = os.getgroups(), _permitted()
    _checked(libc.prctl(_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, 0)
    os.setresuid(user.pw_uid, user.pw_uid, 0)
    try:
        keep = 1 << _DAC_READ_SEARCH
        _set_capabilities(libc, effective=keep, permitted=permitted, inheritable=keep)
        _checked(libc.prctl(_CAP_AMBIENT, _AMBIENT_RAISE, _DAC_READ_SEARCH, 0, 0))
        yield
    finally:
        libc.prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


def _set_capabilities(libc: ctypes.CDLL, *, effective: int, permitted: int, inheritable: int) -> None:
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    words = [half(value) for half in (_low, _high) for value in (effective, permitted, inheritable)]
    _checked(libc.capset(header, (ctypes.c_uint32 * 6)(*words)))


def _permitted() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("CapPrm:"))


def _low(value: int) -> int:
    return value & 0xFFFFFFFF


def _high(value: int) -> int:
    return value >> 32


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
