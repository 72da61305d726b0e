"""The mind of the operator: pure decisions about Kubernetes objects."""
