"""How the REST API is served: from the environment that the operator's pod template sets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matriarch.ha.documents.access import VerifyClient
from matriarch.words.errors import Invalid

VARIABLE = "MATRIARCH_REST"
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
DEFAULT_FOLDER = "/etc/matriarch/rest"


@dataclass(frozen=True, slots=True)
class RestConfiguration:
    """`tls` and `auth` are the folders of the mounted Secrets, None where there is none. `allowlist`: addresses,
    networks and host names; empty restricts nobody. `headers` go with every answer."""

    tls: Path | None = None
    auth: Path | None = None
    verify_client: VerifyClient = "none"
    allowlist: tuple[str, ...] = ()
    include_members: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.tls is None else "https"

    @property
    def protected(self) -> bool:
        """Whoever changes something has shown a password or a certificate."""
        return self.auth is not None or self.verify_client != "none"

    @property
    def separate_probes(self) -> bool:
        """The kubelet has no certificate to show, so its probes need a door of their own."""
        return self.verify_client == "required"


def read_configuration(environ: Mapping[str, str]) -> RestConfiguration:
    """The configuration; plain HTTP for everybody when nothing is said. Raises Invalid that names what is wrong."""
    text = environ.get(VARIABLE)
    if not text:
        return RestConfiguration()
    try:
        said = json.loads(text)
    except ValueError as error:
        raise Invalid(f"{VARIABLE} is not JSON: {error}") from None
    if not isinstance(said, dict):
        raise Invalid(f"{VARIABLE} must be a JSON object")
    folder = Path(environ.get("MATRIARCH_REST_SECRETS", DEFAULT_FOLDER))
    found = RestConfiguration(
        tls=folder / "tls" if said.get("tls") is True else None,
        auth=folder / "auth" if said.get("auth") is True else None,
        verify_client=_verify_client(said.get("verify_client", "none")),
        allowlist=tuple(_strings(said.get("allowlist", []), "allowlist")),
        include_members=said.get("allowlist_include_members") is True,
        headers=_headers(said.get("headers", {})),
    )
    if found.verify_client != "none" and found.tls is None:
        raise Invalid(f"{VARIABLE}: verify_client needs tls")
    return found


def _verify_client(value: object) -> VerifyClient:
    if value == "none" or value == "optional" or value == "required":
        return value
    raise Invalid(f"{VARIABLE}: verify_client must be none, optional or required")


def _strings(value: object, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise Invalid(f"{VARIABLE}: {name} must be a list of strings")
    return value


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Invalid(f"{VARIABLE}: headers must be an object")
    _strings(list(value.values()), "headers")
    if any(character in text for pair in value.items() for text in pair for character in "\r\n\0"):
        raise Invalid(f"{VARIABLE}: headers must not have line breaks")
    if not all(_HEADER_NAME.fullmatch(name) for name in value):
        raise Invalid(f"{VARIABLE}: a header's name has letters, digits and dashes")
    return {name: text.strip() for name, text in value.items()}
