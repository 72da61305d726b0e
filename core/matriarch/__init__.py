"""Matriarch: highly available PostgreSQL on Kubernetes. This package is what the operator and the agent share."""
