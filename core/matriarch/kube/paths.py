"""Where an object lives on the API server.

Names come from manifests, so they are hostile. Two of them are dangerous in a path: an empty name turns a request for
one object into one for the whole collection (`DELETE` included), and `..` may do so on its way through a proxy.
"""

from __future__ import annotations

from urllib.parse import quote

from matriarch.kube.api import Kind
from matriarch.words.errors import Invalid


def collection_path(kind: Kind, namespace: str | None) -> str:
    """Path of all objects of a kind, in one namespace or (None) everywhere. Raises Invalid."""
    root = "/apis/" if "/" in kind.group_version else "/api/"
    base = f"{root}{kind.group_version}"
    if kind.namespaced and namespace is not None:
        return f"{base}/namespaces/{_segment('namespace', namespace)}/{kind.plural}"
    return f"{base}/{kind.plural}"


def object_path(kind: Kind, namespace: str, name: str, subresource: str = "") -> str:
    """Path of one object or of its subresource. Raises Invalid for a name that no object can have."""
    path = f"{collection_path(kind, namespace)}/{_segment('name', name)}"
    return f"{path}/{_segment('subresource', subresource)}" if subresource else path


def _segment(what: str, text: str) -> str:
    if text in ("", ".", "..") or "/" in text or "%" in text:
        raise Invalid(f"{what} {text!r} cannot be part of a path")
    return quote(text, safe="")
