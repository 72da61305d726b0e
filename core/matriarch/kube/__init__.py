"""The one Kubernetes client, used by the agent and the operator."""
