"""The members' volumes, as claims that carry their ordinals."""

from __future__ import annotations

import re
from collections.abc import Iterator

from matriarch.fleet.actions import Manifest
from matriarch.fleet.adopt import belonging
from matriarch.fleet.render.workload import VOLUME
from matriarch.fleet.view import ClusterView

CLAIM = "PersistentVolumeClaim"


def claims(view: ClusterView, *, leaving: bool = False) -> Iterator[tuple[int, Manifest]]:
    """The members' claims with their ordinals; `leaving`: also those that are being deleted and still there."""
    pattern = re.compile(rf"\A{VOLUME}-{re.escape(view.name)}-(0|[1-9]\d{{0,3}})\Z")
    for (kind, name), claim in sorted(view.children.items(), key=lambda item: item[0]):
        match = pattern.match(name) if kind == CLAIM else None
        if match is None or (not leaving and "deletionTimestamp" in claim["metadata"]):
            continue
        if belonging(claim, view.name, view.uid) != "foreign":
            yield int(match[1]), claim
