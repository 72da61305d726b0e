"""localkube: a real Kubernetes cluster on one Linux machine, as root, without a container engine."""
