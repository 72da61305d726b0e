"""End-to-end tests: real clusters, real faults, and a probe that counts what an application would notice."""
