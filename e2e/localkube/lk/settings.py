"""Pinned versions and the two folders that localkube writes to."""

from __future__ import annotations

import os
from pathlib import Path

KUBERNETES_VERSION = "v1.34.4"
"""Shown by clients; the code is pinned in bundle/go.mod. 1.34 is the last minor that starts on cgroup v1 by default."""
HELM_VERSION = "v3.19.5"
"""As bundle/go.mod has it: made with the libraries of that Kubernetes."""

CLUSTER_DOMAIN = "cluster.local"
PAUSE_IMAGE = "localhost/localkube-pause:3"
PROVISIONER = "localkube.dev/local"
STORAGE_CLASS = "localkube"
SIZED_STORAGE_CLASS = "localkube-sized"
"""Its volumes are full when their size is used up."""
DEFAULT_NODES = 3
MAXIMUM_NODES = 9

PACKAGE_FOLDER = Path(__file__).resolve().parent
BUNDLE_FOLDER = PACKAGE_FOLDER.parent / "bundle"

COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
)
"""What the one binary `kubelite` answers to."""


def cache_folder() -> Path:
    """Where built programs and images are kept between runs (`$XDG_CACHE_HOME/localkube`)."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "localkube"


def state_folder() -> Path:
    """Where running instances keep their data; gone when the last one is down. `LOCALKUBE_STATE` overrides it."""
    return Path(os.environ.get("LOCALKUBE_STATE", "/var/lib/localkube")).absolute()
