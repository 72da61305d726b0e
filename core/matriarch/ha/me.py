"""Who a member is: what its environment told it when it started. Part of the view; see `matriarch.ha.view`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matriarch.ha.tags import Tags
from matriarch.words.labels import cluster_labels
from matriarch.words.names import PORT_NAME


@dataclass(frozen=True, slots=True)
class Me:
    """Who is deciding."""

    name: str
    cluster: str
    pod_ip: str
    pod_uid: str
    node: str
    tags: Tags = field(default_factory=Tags)
    rest_scheme: str = "http"
    """How its REST API is asked: `http` or `https`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The labels of the cluster's pods and objects where they are not ours: it was another agent's. Empty: ours."""
    port_name: str = PORT_NAME
    """What the primary Service calls its port: its endpoints have to call it the same. Empty: it has no name."""

    @property
    def cluster_labels(self) -> Mapping[str, str]:
        """The labels by which the cluster's pods and objects are found."""
        return self.labels or cluster_labels(self.cluster)
