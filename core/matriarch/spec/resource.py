"""A PostgresCluster object as the API server hands it out, read into the typed model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from matriarch.spec import rules
from matriarch.spec.cluster import Spec
from matriarch.spec.parameters import has_control, refusals
from matriarch.spec.quantity import parse_bytes
from matriarch.spec.status import Status
from matriarch.words.errors import Invalid
from matriarch.words.names import CLUSTER_NAME_PATTERN, MAX_CLUSTER_NAME

GROUP_VERSION = "matriarch.dev/v1"
KIND = "PostgresCluster"


def read_spec(raw: object) -> Spec:
    """The spec of an object, with defaults filled in.

    The API server has refused most mistakes already. What an older schema let through, or what only shows when fields
    are seen together, raises Invalid with a message for a person: the path, what is wrong, what to do.
    """
    try:
        spec = msgspec.convert(raw, Spec)
    except msgspec.ValidationError as error:
        raise Invalid(f"spec: {error}") from None
    wrong = refusals(spec.parameters)
    if wrong:
        raise Invalid("spec.parameters: " + "; ".join(wrong[:5]))
    _check_texts(msgspec.to_builtins(spec), "spec")
    if spec.rest_api.verify_client != "none" and spec.rest_api.tls is None:
        raise Invalid(f"spec: {rules.CERTIFICATES_NEED_TLS.message}")
    timing = spec.failover
    if timing.loop_wait + 2 * timing.retry_timeout > timing.ttl:
        raise Invalid("spec.failover: ttl must be at least loopWait + 2 * retryTimeout")
    try:
        parse_bytes(timing.maximum_lag)
    except ValueError as error:
        raise Invalid(f"spec.failover.maximumLag: {error}") from None
    return spec


_ANY_TEXT = frozenset({"spec.podAnnotations", "spec.serviceAnnotations"})


def _check_texts(value: object, path: str) -> None:
    """Raises Invalid for a control character anywhere but in annotations; a tab may also separate the words of a line.

    The patterns forbid them too, but to Python's `re`, unlike to RE2, `$` also matches before a last line break.
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            _check_texts(str(key), f"a key in {path}")
            if path not in _ANY_TEXT:
                _check_texts(child, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for number, child in enumerate(value):
            _check_texts(child, f"{path}[{number}]")
    elif isinstance(value, str) and has_control(value.replace("\t", " ")):
        raise Invalid(f"{path}: line breaks and other control characters are allowed in values of annotations only")


def check_name(name: str) -> None:
    """Raises Invalid when the objects of a cluster could not be named after it."""
    if len(name) > MAX_CLUSTER_NAME:
        raise Invalid(f"metadata.name may have at most {MAX_CLUSTER_NAME} characters")
    if not re.fullmatch(CLUSTER_NAME_PATTERN, name):
        raise Invalid("metadata.name must start with a letter and have only lower case letters, digits and dashes")


def read_status(raw: object) -> Status:
    """The status that was written last. Anything unreadable counts as never written: it is ours to write anew."""
    try:
        return msgspec.convert(raw, Status) if isinstance(raw, Mapping) else Status()
    except msgspec.ValidationError:
        return Status()


def status_body(status: Status) -> dict[str, Any]:
    """The status as JSON, with every field that has a value."""
    body = msgspec.to_builtins(status)
    if not isinstance(body, dict):
        raise TypeError("a status is an object")
    body.setdefault("instances", status.instances)
    body.setdefault("readyInstances", status.ready_instances)
    return body
