"""Writes manifests/install.yaml from the chart with its default values: `python helm/render_install.py`.

Needs `helm` (or the program that $HELM names). A test compares what matters of the two without it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = "matriarch-system"
HEAD = """\
# The operator in plain YAML: kubectl apply --server-side -f manifests/install.yaml
# Generated from helm/matriarch by helm/render_install.py. Do not edit.
"""


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _dump(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=120)


def _without_helm(document: dict[str, Any]) -> dict[str, Any]:
    labels = document.get("metadata", {}).get("labels", {})
    labels.pop("helm.sh/chart", None)
    if labels.get("app.kubernetes.io/managed-by") == "Helm":
        labels["app.kubernetes.io/managed-by"] = "kubectl"
    template = document.get("spec", {}).get("template")
    if template:
        _without_helm(template)
    return document


def main() -> None:
    """Renders the chart and writes the file."""
    command = [os.environ.get("HELM", "helm"), "template", "matriarch", str(ROOT / "helm/matriarch"), "-n", NAMESPACE]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": enforced}}
    parts = [_dump(namespace), (ROOT / "crds/matriarch.dev_postgresclusters.yaml").read_text()]
    documents = [one for one in yaml.safe_load_all(rendered) if one and one["kind"] != "CustomResourceDefinition"]
    parts.extend(_dump(_without_helm(one)) for one in documents)
    (ROOT / "manifests/install.yaml").write_text(HEAD + "---\n".join(parts))


if __name__ == "__main__":
    main()
