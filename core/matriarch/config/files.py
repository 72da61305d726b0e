"""postgresql.conf, complete: nothing is included, so what is in the file is what is in force."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from matriarch.config.parameters import CONTROLLED
from matriarch.config.quoting import conf_value, conninfo
from matriarch.words.names import slot_name
from matriarch.words.parameters import owned

UPSTREAM_SETTING = "matriarch.upstream"
"""A parameter of our own: the name of the member that this one follows, so that a new agent can read it."""
_OWN_LINE = re.compile(r"([a-z_][a-z0-9_.]*) = '((?:[^'\\]|''|\\.)*)'\Z")
_ESCAPED = re.compile(r"''|\\([0-7]{1,3}|.)")
_NAMED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_AUTO_LINE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*=")


@dataclass(frozen=True, slots=True)
class Source:
    """The upstream of a standby. `passfile` holds the password; the connection string never does."""

    member: str
    host: str
    port: int
    user: str
    passfile: str
    slot: str | None = None
    """The replication slot to use there; None: the one that bears the follower's name."""
    never_in_clear: bool = False
    """Whether the password is withheld from a server that asks for it as it is. libpq can do that since version 16."""


MEMBER_SETTINGS = ("primary_conninfo", "primary_slot_name", "synchronous_standby_names", UPSTREAM_SETTING)
"""What depends on what the member is doing, and not on the cluster settings."""


def render_conf(values: Mapping[str, str]) -> str:
    """postgresql.conf. Raises Invalid when a value cannot be written there."""
    lines = [f"{name} = {conf_value(text)}" for name, text in sorted(values.items())]
    return "\n".join(["# Written by the agent; changes are overwritten.", *lines]) + "\n"


def parse_conf(text: str) -> dict[str, str]:
    """The settings of the lines that have the form that `render_conf` writes, with the values that Postgres reads
    there, whoever wrote them; lines in any other form are passed over."""
    found = {}
    for line in text.split("\n"):
        match = _OWN_LINE.match(line)
        if match is not None:
            found[match[1]] = _unescaped(match[2])
    return found


def _unescaped(text: str) -> str:
    """What Postgres' lexer makes of the inside of quotes. Octal numbers are bytes there, and a zero ends the value."""
    plain = _ESCAPED.sub(_one_unescaped, text).partition("\0")[0]
    with suppress(UnicodeError):
        return plain.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return plain


def _one_unescaped(part: re.Match[str]) -> str:
    code = part[1]
    if code is None:
        return "'"
    if code[0] in "01234567":
        # A byte of a longer character stands as Python's file functions have it: as a lone surrogate.
        byte = int(code, 8) & 0xFF
        return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
    return _NAMED.get(code, code)


def standby_settings(member: str, source: Source | None) -> dict[str, str]:
    """Whom a standby follows. A primary and a standby without an upstream follow nobody."""
    if source is None:
        return {"primary_conninfo": "", "primary_slot_name": "", UPSTREAM_SETTING: ""}
    return {
        "primary_conninfo": connection(source, application_name=member),
        "primary_slot_name": slot_name(member) if source.slot is None else source.slot,
        UPSTREAM_SETTING: source.member,
    }


def connection(source: Source, *, application_name: str, dbname: str = "postgres", **more: str) -> str:
    """A connection string to another member. A silent peer is noticed after five seconds."""
    return conninfo(
        {
            "host": source.host,
            "port": str(source.port),
            "user": source.user,
            "passfile": source.passfile,
            "dbname": dbname,
            "application_name": application_name,
            "connect_timeout": "3",
            "sslmode": "prefer",
            "gssencmode": "disable",
            "keepalives_idle": "5",
            "keepalives_interval": "2",
            "keepalives_count": "3",
            "tcp_user_timeout": "5000",
            # Several hosts are those of another cluster, and only its primary is to be followed.
            **({"target_session_attrs": "read-write"} if "," in source.host else {}),
            **({"require_auth": "!password"} if source.never_in_clear else {}),
            **more,
        }
    )


def clean_auto_conf(text: str, forced: Collection[str] = ()) -> str:
    """postgresql.auto.conf without what only the agent or the cluster settings may set, and without `forced`: ALTER
    SYSTEM would otherwise win over it."""
    kept = []
    for line in text.split("\n"):
        match = _AUTO_LINE.match(line)
        name = match[1].lower() if match is not None else ""
        if not (owned(name) or name in CONTROLLED or name in forced):
            kept.append(line)
    return "\n".join(kept)
