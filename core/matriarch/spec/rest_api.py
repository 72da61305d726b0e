"""How the members' REST API is protected: the spec's section `restApi`."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal

from msgspec import Meta, Struct

from matriarch.spec import rules
from matriarch.spec.scheduling import Name

TLS_KEYS = ("tls.crt", "tls.key", "ca.crt")
AUTH_KEYS = ("username", "password")

AllowedHost = Annotated[str, Meta(min_length=1, max_length=253, pattern=rules.ALLOWED)]
HeaderValue = Annotated[str, Meta(max_length=1024, pattern=rules.PRINTABLE)]


class RestTls(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Certificates of the REST API."""

    secret_name: Annotated[
        Name,
        Meta(
            description="Secret with tls.crt, tls.key and ca.crt. Members use the certificate as servers and, towards "
            "each other, as clients; both are verified by the CA. A changed Secret is read without a restart."
        ),
    ]


class RestAuth(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Basic authentication of the REST API."""

    secret_name: Annotated[
        Name,
        Meta(
            description="Secret with username and password. Requests that change something have to show them. A "
            "changed Secret is read without a restart."
        ),
    ]


class RestApi(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The members' REST API. Without this section it is plain HTTP that everybody may use who reaches the pods."""

    tls: Annotated[RestTls | None, Meta(description="Serve https only.")] = None
    auth: Annotated[RestAuth | None, Meta(description="Ask for a name and a password before any change.")] = None
    verify_client: Annotated[
        Literal["none", "optional", "required"],
        Meta(
            description="Whether clients must show a certificate of the CA. optional: for requests that change "
            "something. required: for all; the kubelet's probes then have the port 8009 of their own."
        ),
    ] = "none"
    allowlist: Annotated[
        tuple[AllowedHost, ...],
        Meta(
            max_length=64,
            description="Addresses, networks and host names from which changes may be asked for; empty: from anywhere. "
            "The operator's pods have to be among them.",
        ),
    ] = ()
    allowlist_include_members: Annotated[
        bool,
        Meta(description="Changes may be asked for from members' addresses too, and without a list from no others."),
    ] = False
    extra_headers: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=128, pattern=rules.HEADER_NAME)], HeaderValue],
        Meta(
            max_length=32,
            description="Headers for every answer.",
            extra_json_schema=rules.cel(rules.HEADERS_NOT_FRAMING),
        ),
    ] = {}

    @property
    def secrets(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The Secrets that it names: the field, with the Secret's name and the keys that it must have."""
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        if self.tls is not None:
            found["spec.restApi.tls.secretName"] = (self.tls.secret_name, TLS_KEYS)
        if self.auth is not None:
            found["spec.restApi.auth.secretName"] = (self.auth.secret_name, AUTH_KEYS)
        return found


def missing(section: RestApi, found: Mapping[str, frozenset[str] | None]) -> tuple[str, ...]:
    """What the named Secrets lack, in sentences for a person. `found`: their keys by name; None for an absent one.
    Nothing is said of one that was not looked for with success."""
    sentences = []
    for path, (name, keys) in section.secrets.items():
        if name not in found:
            continue
        present = found[name]
        if present is None:
            sentences.append(f"{path}: there is no Secret {name}: create it with the keys {', '.join(keys)}")
            continue
        absent = [key for key in keys if key not in present]
        if absent:
            sentences.append(f"{path}: the Secret {name} lacks {', '.join(absent)}")
    return tuple(sentences)


def unreadable(section: RestApi, refused: AbstractSet[str]) -> tuple[str, ...]:
    """What a person has to be told of those of the named Secrets that the operator may not read."""
    return tuple(
        f"{path}: the operator may not read the Secret {name}: let its ServiceAccount `get` secrets in this namespace, "
        "or name another Secret"
        for path, (name, _) in section.secrets.items()
        if name in refused
    )
