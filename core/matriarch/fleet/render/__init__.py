"""From a view to manifests. Every function is pure and its output is compared with the files under tests/golden."""
