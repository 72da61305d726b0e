"""Whether an object has to be applied again.

The API server adds defaults and other programs add fields of their own, so what was asked for is compared as a subset
of what is. A field that is no longer asked for shows in the digest of the whole intent, which the object carries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from matriarch.fleet.actions import Manifest
from matriarch.spec.quantity import same_quantity
from matriarch.words import labels

INTENT_HASH = f"{labels.GROUP}/intent-hash"


def digest(value: object) -> str:
    """A short, stable fingerprint of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def sealed(intent: Mapping[str, Any]) -> dict[str, Any]:
    """The intent with its own digest as an annotation."""
    metadata = dict(intent["metadata"])
    metadata["annotations"] = {**(metadata.get("annotations") or {}), INTENT_HASH: digest(intent)}
    return {**intent, "metadata": metadata}


_MERGED = frozenset({"ownerReferences", "containers", "env", "ports", "volumes", "volumeMounts"})
"""Lists that the API server merges item by item: an item that somebody else added stays, and is no difference."""


def differs(intent: Manifest, live: Manifest) -> bool:
    """Whether something that is asked for is not so, or something was asked for and no longer is."""
    return not _within(intent, live)


def _within(intent: object, live: object, field: str = "") -> bool:
    if isinstance(intent, Mapping):
        found = live if isinstance(live, Mapping) else {}
        return all(_within(value, found.get(key), str(key)) for key, value in intent.items())
    if isinstance(intent, list | tuple):
        there = live if isinstance(live, list | tuple) else []
        if field in _MERGED:
            return all(any(_within(wanted, one) for one in there) for wanted in intent)
        return len(intent) == len(there) and all(map(_within, intent, there))
    if intent in (None, "", False) and live in (None, "", False):
        return True
    return intent == live or same_quantity(intent, live)
