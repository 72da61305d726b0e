"""The operator as users install it: by Helm."""

from __future__ import annotations

from pathlib import Path

from e2e import images
from e2e.kubectl import APPS, CORE, Helm, Kubectl, Object
from e2e.shell import ROOT, NotYet, eventually

NAMESPACE = "matriarch-system"
RELEASE = "matriarch"
CHART: Path = ROOT / "helm" / "matriarch"
SOURCES = "podAnnotations.matriarch\\.dev/sources"
"""The chart's value for an annotation of the operator's pods: what their image was made from. Tags stay the same from
build to build, so without it a release that is there already would keep its pods, and with them the old image."""


class OperatorRelease:
    """The chart's release in the cluster."""

    def __init__(self, kubectl: Kubectl, helm: Helm) -> None:
        self.kubectl, self.helm = kubectl, helm

    def install(self, *settings: str) -> None:
        """`helm upgrade --install`, and wait until the Deployment is available."""
        sets = [argument for setting in settings for argument in ("--set", setting)]
        sets += ["--set-string", f"{SOURCES}={images.mark(images.OPERATOR_IMAGE)}"]
        self.helm("upgrade", "--install", RELEASE, str(CHART), "-n", NAMESPACE, "--create-namespace", *sets)
        eventually(self.available, within=90, what="the operator's Deployment")

    def uninstall(self) -> None:
        """`helm uninstall` and the namespace."""
        self.helm("uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait")
        self.kubectl.drop_namespace(NAMESPACE)

    def available(self) -> None:
        """Raises NotYet until every wanted replica is available and of the newest template."""
        for deployment in self.kubectl.items(APPS, "deployments", namespace=NAMESPACE):
            wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
            if status.get("observedGeneration") != deployment["metadata"]["generation"]:
                raise NotYet("the Deployment's controller has not looked yet")
            if status.get("availableReplicas", 0) < wanted or status.get("updatedReplicas", 0) < wanted:
                raise NotYet(f"{status.get('availableReplicas', 0)} of {wanted} replicas are available")

    def pods(self) -> list[Object]:
        """The operator's pods."""
        return self.kubectl.items(CORE, "pods", namespace=NAMESPACE)

    def kill(self) -> None:
        """Delete every pod of it at once, without grace."""
        names = [pod["metadata"]["name"] for pod in self.pods()]
        self.kubectl("delete", "pod", "-n", NAMESPACE, "--grace-period=0", "--force", "--wait=false", *names)

    def scale(self, replicas: int) -> None:
        """Set the number of replicas of the Deployment."""
        for deployment in self.kubectl.items(APPS, "deployments", namespace=NAMESPACE):
            name = deployment["metadata"]["name"]
            self.kubectl("scale", "deployment", name, "-n", NAMESPACE, f"--replicas={replicas}")
