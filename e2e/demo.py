"""`make demo` and `make demo-down`: a cluster from nothing, a failover before your eyes, and how to connect.

The same modules as the end-to-end tests, told aloud. It asks nothing and leaves the cluster running.
"""

from __future__ import annotations

import argparse
import sys
import time

import yaml

from e2e import images
from e2e.cluster import ClusterProvider, choose
from e2e.kubectl import Helm, Kubectl, annotations_of, labels_of, load_json
from e2e.operator_release import CHART, NAMESPACE, OperatorRelease
from e2e.postgres_cluster import PostgresCluster
from e2e.shell import ROOT, CommandFailed, NotYet, TimedOut, eventually

DEMO = ROOT / "manifests" / "demo.yaml"
WRITE_BEFORE_S = 4.0
WRITE_AFTER_S = 6.0

_started = time.monotonic()


def say(text: str) -> None:
    """One line with the seconds since the start."""
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", flush=True)


def up(provider: ClusterProvider) -> None:
    """The whole demonstration."""
    say(f"Kubernetes: {provider.name}")
    provider.up()
    say("building the images, where their sources changed, and loading them into every node")
    provider.load(images.build(provider))
    kubectl = Kubectl(provider.env)
    say(f"helm upgrade --install matriarch {CHART.relative_to(ROOT)} -n {NAMESPACE} --create-namespace")
    OperatorRelease(kubectl, Helm(provider.env)).install()
    cluster = demo_cluster(kubectl)
    say(f"kubectl apply -f {DEMO.relative_to(ROOT)}")
    kubectl("apply", "-n", cluster.namespace, "-f", str(DEMO))
    show_progress(cluster)
    fail_over(cluster)
    told = how_to_connect(provider, cluster)
    print("\n" + told)


def demo_cluster(kubectl: Kubectl) -> PostgresCluster:
    """The cluster that manifests/demo.yaml describes."""
    described = next(one for one in yaml.safe_load_all(DEMO.read_text()) if one and one["kind"] == "PostgresCluster")
    metadata = described["metadata"]
    return PostgresCluster(kubectl, metadata.get("namespace", "default"), metadata["name"])


def show_progress(cluster: PostgresCluster) -> None:
    """Print what every member is doing until all stream."""
    begun, last = time.monotonic(), ""

    def look() -> str:
        nonlocal last
        members = [_member_line(pod) for pod in cluster.pods()]
        now = "; ".join(members) or "waiting for the operator"
        if now != last:
            last = now
            say(now)
        try:
            return cluster.wait_healthy(within=0)
        except TimedOut as missing:
            raise NotYet(str(missing)) from missing

    primary = eventually(look, within=180, what="three streaming members", every=0.5)
    say(f"three members stream, {time.monotonic() - begun:.1f} s after apply; {primary} is primary")


def _member_line(pod: dict[str, object]) -> str:
    metadata = pod["metadata"]
    assert isinstance(metadata, dict)
    state = load_json(annotations_of(pod).get("status")) or {}
    role = labels_of(pod).get("role", state.get("role", "-"))
    return f"{metadata['name']} {role} {state.get('replication_state') or state.get('state', 'starting')}"


def fail_over(cluster: PostgresCluster) -> None:
    """Write, delete the primary's pod, and count."""
    former = cluster.primary()
    say("ten clients write through the Service, each ten rows a second")
    with cluster.probe() as probe:
        time.sleep(WRITE_BEFORE_S)
        say(f"kubectl delete pod {former}    (the primary)")
        cluster.delete_pod(former)
        successor = cluster.wait_primary_other_than(former, within=60)
        say(f"{successor} is primary")
        time.sleep(WRITE_AFTER_S)
        report = probe.finish()
    if report.lost is None:
        raise CommandFailed("the written rows could not be counted in the end")
    say(f"longest time without an acknowledged write: {report.longest_gap_s:.2f} s")
    say(f"{report.acknowledged} rows were acknowledged, {report.lost} of them are missing")
    cluster.wait_healthy(within=120)
    say(f"{former} is back as a replica")
    if report.lost:
        raise CommandFailed("acknowledged rows are missing")


def how_to_connect(provider: ClusterProvider, cluster: PostgresCluster) -> str:
    """What a person types next; the line through a pod has been run once."""
    target, name, kubectl = cluster.target(), cluster.name, f"{cluster.kubectl.program} -n {cluster.namespace}"
    rows = psql_in_a_pod(cluster)
    say(f"psql from a pod, by the uri of the Secret: {rows}")
    uri = f"$({kubectl} get secret {name}-app -o jsonpath='{{.data.uri}}' | base64 -d)"
    password = uri.replace("data.uri", "data.password")
    return f"""\
The cluster is running. With psql in a pod, by the Secret's uri:

  export KUBECONFIG={provider.env["KUBECONFIG"]}
  {kubectl} exec -it {name}-0 -c postgres -- psql "{uri}"

With psql on this machine:

  PGPASSWORD="{password}" psql -h {target.host} -U {target.user} {target.dbname}

Look at it, and switch over:

  {kubectl} get pgc
  {kubectl} annotate pgc {name} matriarch.dev/switchover=any

`make demo-down` removes everything."""


def psql_in_a_pod(cluster: PostgresCluster) -> str:
    """Run the printed line once, with a statement instead of a prompt."""
    uri = cluster.secret("-app")["uri"]
    question = "select 'connected to ' || current_database() || ' as ' || current_user"
    return cluster.kubectl.exec(
        cluster.namespace, f"{cluster.name}-0", "psql", uri, "-X", "-At", "-c", question
    ).strip()


def down(provider: ClusterProvider) -> None:
    """Remove what `up` made; on a cluster of the user's own, only the demo and the operator."""
    if provider.name == "existing":
        kubectl = Kubectl(provider.env)
        demo_cluster(kubectl).delete()
        OperatorRelease(kubectl, Helm(provider.env)).uninstall()
    provider.down()


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m e2e.demo", description=__doc__)
    parser.add_argument("action", choices=("up", "down"))
    action = parser.parse_args().action
    provider = choose()
    try:
        (up if action == "up" else down)(provider)
    except (CommandFailed, TimedOut) as error:
        say(f"failed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
