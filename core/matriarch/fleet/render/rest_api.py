"""What a pod needs so that its agent serves the REST API as the spec asks: environment, Secrets, ports, probes."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from matriarch.fleet.view import ClusterView
from matriarch.spec.rest_api import RestApi
from matriarch.words import names

FOLDER = "/etc/matriarch/rest"


def settled(view: ClusterView, section: RestApi) -> RestApi:
    """What the pods can be made with now. Certificates are required only once every member has one to show: a primary
    that serves plain HTTP could not ask its replicas who can take over, and would never be replaced."""
    plain = any(member.rest_scheme == "http" for member in view.members)
    if section.verify_client != "required" or not plain:
        return section
    return msgspec.structs.replace(section, verify_client="optional")


def environment(section: RestApi) -> list[dict[str, Any]]:
    """One variable, and none without a section: nothing then differs from a pod that was made before there was one."""
    if section == RestApi():
        return []
    said = {
        "tls": section.tls is not None,
        "auth": section.auth is not None,
        "verify_client": section.verify_client,
        "allowlist": list(section.allowlist),
        "allowlist_include_members": section.allowlist_include_members,
        "headers": dict(section.extra_headers),
    }
    # The kubelet would expand `$(`.
    text = json.dumps(said, sort_keys=True).replace("$", "\\u0024")
    return [{"name": "MATRIARCH_REST", "value": text}]


def volumes(section: RestApi) -> list[dict[str, Any]]:
    """The Secrets as they are: the kubelet brings changes of them while the pod runs."""
    return [
        {"name": f"rest-{kind}", "secret": {"secretName": name, "defaultMode": 0o440}}
        for kind, name in _secrets(section)
    ]


def mounts(section: RestApi) -> list[dict[str, Any]]:
    """Where the agent finds them. No `subPath`: it would keep the first contents for ever."""
    return [
        {"name": f"rest-{kind}", "mountPath": f"{FOLDER}/{kind}", "readOnly": True} for kind, _ in _secrets(section)
    ]


def ports(section: RestApi) -> list[dict[str, Any]]:
    """The REST API's port, and the probes' where they have one."""
    found = [{"name": "rest", "containerPort": names.REST_PORT, "protocol": "TCP"}]
    if section.verify_client == "required":
        found.append({"name": "probes", "containerPort": names.PROBES_PORT, "protocol": "TCP"})
    return found


def probe(section: RestApi, path: str, **numbers: int) -> dict[str, Any]:
    """A probe of the kubelet, which verifies no certificate and has none to show."""
    if section.verify_client == "required":
        port, scheme = names.PROBES_PORT, "HTTP"
    else:
        port, scheme = names.REST_PORT, "HTTP" if section.tls is None else "HTTPS"
    return {"httpGet": {"path": path, "port": port, "scheme": scheme}, **numbers}


def _secrets(section: RestApi) -> list[tuple[str, str]]:
    found = []
    if section.tls is not None:
        found.append(("tls", section.tls.secret_name))
    if section.auth is not None:
        found.append(("auth", section.auth.secret_name))
    return found
