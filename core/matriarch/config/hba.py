"""pg_hba.conf and pg_ident.conf.

Ours first, so that no user's line can lock the cluster's own connections out; then the user's; then passwords for
everybody. Nobody is trusted, and locally only the account that Postgres runs under gets in without a password. A line
that Postgres could not read would keep it from starting, so user lines are checked to the last word.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from matriarch.words.errors import Invalid

MAP = "matriarch"
_TYPES = frozenset({"host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"})
_METHODS = frozenset({"scram-sha-256", "md5", "reject"})
"""Those that take no options: a wrong option keeps the server from starting."""
_HOST = re.compile(r"\.?[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?\Z")
_TOKEN = re.compile(r'\s*("[^"]*"|[^\s",#]+)(?:(,)|(?=\s|\Z))')
"""As Postgres cuts a line: a list goes on only where the comma follows at once, and `a"b"` would be one word."""
_LISTS = (1, 2)
"""Database and user may be several; of everything else there is one."""
_NUMBERS = re.compile(r"\.?(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\Z", re.ASCII | re.IGNORECASE)
"""What no host is called: the C library reads `10.1`, `0` and `0xa` as addresses."""
_PREFIX = re.compile(r"[0-9]{1,3}\Z", re.ASCII)
_KEYWORD_ADDRESSES = frozenset({"all", "samehost", "samenet"})
_LONGEST_LINE = 1024
_SECRET = re.compile(r"(ldapbindpasswd|radiussecrets).*", re.ASCII | re.IGNORECASE | re.DOTALL)
_MAP_OPTION = re.compile(r"map=[A-Za-z0-9_.-]{1,63}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hba:
    """The file's text, and what was refused of the user's lines: line to reason."""

    text: str
    refused: Mapping[str, str] = field(default_factory=dict)


def render_hba(user_lines: Sequence[str], *, superuser: str, replication: str) -> Hba:
    """pg_hba.conf."""
    kept, refused = _checked(user_lines, check_line)
    own = [
        f'local all "{superuser}" peer map={MAP}',
        f'local replication "{superuser}" peer map={MAP}',
        f'host replication "{replication}" all scram-sha-256',
        f'host postgres "{replication}" all scram-sha-256',
    ]
    last = ["local all all scram-sha-256", "host all all all scram-sha-256"]
    return Hba("\n".join(["# Written by the agent; changes are overwritten.", *own, *kept, *last]) + "\n", refused)


def render_ident(user_lines: Sequence[str], os_user: str, *, superuser: str) -> Hba:
    """pg_ident.conf: the account that Postgres runs under may be the superuser; then the user's maps."""
    kept, refused = _checked(user_lines, check_ident)
    own = f'{MAP} "{os_user}" "{superuser}"'
    return Hba("\n".join(["# Written by the agent; changes are overwritten.", own, *kept]) + "\n", refused)


def _checked(lines: Sequence[str], check: Callable[[str], None]) -> tuple[list[str], dict[str, str]]:
    """The lines that are taken, and the others with the reason."""
    kept, refused = [], {}
    for line in lines:
        stripped = str(line).strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            check(stripped)
        except Invalid as problem:
            refused[_without_secrets(stripped)[:128]] = _without_secrets(str(problem))
        else:
            kept.append(stripped)
    return kept, refused


def _without_secrets(text: str) -> str:
    """What may be shown to everybody: what follows a password is not told apart from it."""
    return _SECRET.sub(r"\1=***", text)


def check_line(line: str) -> None:
    """Raises Invalid with the reason why a user's line is not taken."""
    _check_text(line)
    fields = _fields(line, lists=_LISTS)
    if fields[0] not in _TYPES:
        raise Invalid("starts with something else than host, hostssl, hostnossl, hostgssenc or hostnogssenc")
    if len(fields) < 5:
        raise Invalid("needs type, database, user, address and method")
    _check_method(fields[0], fields[4:] if _address(fields[3]) else _with_mask(fields))


def check_ident(line: str) -> None:
    """Raises Invalid with the reason why a user's line of pg_ident.conf is not taken.

    A file that cannot be loaded leaves the server without any map, and the agent without its way in.
    """
    _check_text(line)
    if "," in line:
        raise Invalid("contains a comma, but each field is one name")
    fields = _fields(line)
    if len(fields) != 3 or not all(fields):
        raise Invalid("needs exactly a map's name, a system user and a database user")
    if fields[0].lower() == MAP:
        raise Invalid(f"the map {MAP} is the agent's own: choose another name")
    if fields[0].startswith("include"):
        raise Invalid("includes a file")


def _check_method(kind: str, rest: list[str]) -> None:
    if rest and (kind, rest[0]) == ("hostssl", "cert"):
        if len(rest) > 2 or (len(rest) == 2 and _MAP_OPTION.match(rest[1]) is None):
            raise Invalid("cert takes no other option than map=NAME")
        if rest[1:] == [f"map={MAP}"]:
            raise Invalid(f"the map {MAP} is the agent's own: choose another name")
        return
    if not rest or rest[0] not in _METHODS:
        raise Invalid(f"uses a method other than {', '.join(sorted(_METHODS))} and, for hostssl, cert")
    if len(rest) > 1:
        raise Invalid("has options, which these methods do not take")


def _check_text(line: str) -> None:
    if len(line) > _LONGEST_LINE:
        raise Invalid(f"longer than {_LONGEST_LINE} characters")
    if not line.replace("\t", " ").isprintable():
        raise Invalid("contains a character that cannot be printed")
    if "\\" in line:
        raise Invalid("contains a backslash")


def _fields(line: str, lists: Collection[int] = ()) -> list[str]:
    """Whitespace-separated fields; those in `lists` may be comma lists, told by their first part. Raises Invalid."""
    found: list[str] = []
    position, joined = 0, False
    while position < len(line):
        match = _TOKEN.match(line, position)
        if match is None:
            if line[position:].strip():
                raise Invalid("has a comment, a stray comma or a quote in the wrong place")
            break
        token = match[1].strip('"')
        if token.startswith(("@", "/")):
            raise Invalid("includes a file or uses a regular expression")
        if not joined:
            found.append(token)
        joined = match[2] is not None
        if joined and len(found) - 1 not in lists:
            raise Invalid(f"has a comma after {token!r}, where only one is possible")
        position = match.end()
    if joined:
        raise Invalid("ends with a comma")
    return found


def _address(text: str) -> bool:
    """Whether it is complete as it is. False: a bare IP address, which needs a mask. Raises Invalid."""
    if text in _KEYWORD_ADDRESSES:
        return True
    base, slash, prefix = text.partition("/")
    if slash:
        longest = 32 if _ip(base).version == 4 else 128
        if _PREFIX.match(prefix) is None or int(prefix) > longest:
            raise Invalid(f"has {prefix!r} after the slash, where a number up to {longest} is needed")
        return True
    if ":" in text or _NUMBERS.match(text) is not None:
        _ip(text)
        return False
    if _HOST.match(text) is None:
        raise Invalid("has an address that is neither an IP range nor a host name")
    return True


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """A whole IP address: not shortened, and without a zone, which may be another one elsewhere. Raises Invalid."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        raise Invalid(f"has an address that is none: {error}") from error
    if "%" in text:
        raise Invalid("has an IPv6 address with a zone")
    return found


def _with_mask(fields: list[str]) -> list[str]:
    try:
        mask = _ip(fields[4])
    except Invalid as error:
        raise Invalid("has an IP address without a mask") from error
    if mask.version != _ip(fields[3]).version:
        raise Invalid("has an IP address and a mask of the other kind")
    return fields[5:]
