"""Who may ask the REST API for what (after Patroni): by address, by client certificate, by password, in this order.

What only reads is open to everybody whom TLS lets in; what changes something is not.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from matriarch.ha.documents.edits import Refusal

VerifyClient = Literal["none", "optional", "required"]
"""Whether a client has to show a certificate of our CA: never, for what changes something, for everything."""
Network = IPv4Network | IPv6Network
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one name and password that changes are asked with."""

    username: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of `Authorization` that shows them."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What is asked of those who want a change.

    `allowed`: None, everybody's address will do; empty, nobody's (a list whose names are all unknown lets nobody in).
    `include_members`: members' addresses will do as well.
    """

    credentials: Credentials | None = None
    verify_client: VerifyClient = "none"
    allowed: tuple[Network, ...] | None = None
    include_members: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `certificate`: one was shown, and TLS has verified it."""

    method: str
    segment: str
    """The path's first segment."""
    address: str
    certificate: bool = False
    authorization: str | None = None


def refusal_of(caller: Caller, rules: AccessRules, members: Iterable[str]) -> Refusal | None:
    """Why this caller is turned away (401, 403); None when not. `members`: the addresses of all known members.

    A failsafe claim from a member's address passes the allowlist always: it comes when the primary is about to stop.
    """
    if caller.method in SAFE_METHODS:
        return None
    if not _from_allowed(caller, rules, members):
        return Refusal(403, "Access is denied")
    if rules.verify_client != "none" and not caller.certificate:
        return Refusal(403, "client certificate required")
    if rules.credentials is None:
        return None
    if caller.authorization is None:
        return Refusal(401, "no auth header received")
    return None if _shows(caller.authorization, rules.credentials) else Refusal(401, "not authenticated")


def _from_allowed(caller: Caller, rules: AccessRules, members: Iterable[str]) -> bool:
    claims = caller.segment == "failsafe"
    if rules.allowed is None and (claims or not rules.include_members):
        return True
    source = _address(caller.address)
    if source is None:
        return False
    if any(source in network for network in rules.allowed or ()):
        return True
    return (claims or rules.include_members) and source in {_address(member) for member in members}


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address; IPv4 in IPv6's clothes is IPv4."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _shows(authorization: str, credentials: Credentials) -> bool:
    """Whether the header holds the credentials; takes as long for a near miss as for a far one."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        shown = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    wanted = f"{credentials.username}:{credentials.password}".encode()
    return hmac.compare_digest(shown, wanted) and scheme.lower() == "basic"


def network_of(text: str) -> Network | None:
    """The network that an entry of the allowlist means; None for a host name, which has to be looked up."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
