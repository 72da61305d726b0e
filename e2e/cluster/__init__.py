"""Where a Kubernetes cluster for tests comes from: one interface, three providers."""

from e2e.cluster.choose import choose
from e2e.cluster.provider import ClusterProvider, Fault, FaultUnavailable, Image

__all__ = ["ClusterProvider", "Fault", "FaultUnavailable", "Image", "choose"]
