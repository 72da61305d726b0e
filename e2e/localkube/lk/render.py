"""The configuration of every component, as pure functions of the layout."""

from __future__ import annotations

import json

from lk.addresses import API_PORT
from lk.layout import Layout, NodeLayout
from lk.pki import STORAGE_USER
from lk.settings import CLUSTER_DOMAIN, PAUSE_IMAGE, PROVISIONER, SIZED_STORAGE_CLASS, STORAGE_CLASS

_ETCD = "http://127.0.0.1:2379"


def etcd(layout: Layout) -> list[str]:
    """The test cluster's data does not outlive the machine, so nothing is gained by waiting for the disk."""
    return [
        "etcd",
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(layout: Layout) -> list[str]:
    """With aggregator routing the server reaches webhooks at their pods' addresses, without a kube-proxy beside it."""
    pki = layout.pki
    return [
        "kube-apiserver",
        f"--etcd-servers={_ETCD}",
        f"--bind-address={layout.plan.control_plane.address}",
        f"--advertise-address={layout.plan.control_plane.address}",
        f"--secure-port={API_PORT}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--service-account-key-file={pki / 'accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'accounts.key'}",
        f"--service-account-issuer=https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        f"--service-cluster-ip-range={layout.plan.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--kubelet-client-certificate={pki / 'admin.crt'}",
        f"--kubelet-client-key={pki / 'admin.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--enable-aggregator-routing",
        "--profiling=false",
    ]


def controller_manager(layout: Layout) -> list[str]:
    """At its default rate of requests the controllers' start alone takes five seconds."""
    pki = layout.pki
    return [
        "kube-controller-manager",
        f"--kubeconfig={pki / 'controllers.kubeconfig'}",
        f"--service-account-private-key-file={pki / 'accounts.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--allocate-node-cidrs=false",
        f"--cluster-cidr={layout.plan.pods}",
        "--bind-address=127.0.0.1",
        "--node-monitor-grace-period=40s",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--profiling=false",
    ]


def scheduler(layout: Layout) -> list[str]:
    return [
        "kube-scheduler",
        f"--kubeconfig={layout.pki / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--profiling=false",
    ]


def proxy(layout: Layout, node: str) -> list[str]:
    """The kube-proxy of a place that counts as `node`: it waits half a minute for a node that does not exist.

    The conntrack settings are 0 (leave alone), since a network namespace may not write them.
    """
    return [
        "kube-proxy",
        f"--kubeconfig={layout.pki / 'proxy.kubeconfig'}",
        f"--hostname-override={node}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={layout.plan.pods}",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--profiling=false",
    ]


def kubelet(node: NodeLayout) -> list[str]:
    name = node.node.name
    return [
        "kubelet",
        f"--config={node.folder / 'kubelet.yaml'}",
        f"--kubeconfig={node.instance.pki / name}.kubeconfig",
        f"--root-dir={node.folder / 'kubelet'}",
        f"--hostname-override={name}",
        f"--node-ip={node.node.endpoint.address}",
        f"--cert-dir={node.folder / 'kubelet' / 'pki'}",
        f"--node-labels=topology.kubernetes.io/zone=zone{node.node.number}",
    ]


def kubelet_configuration(node: NodeLayout) -> str:
    """Kubelets that share a machine each need their own podLogsDir: they remove logs of pods that they do not know."""
    pki, name = node.instance.pki, node.node.name
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.node.endpoint.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [node.instance.plan.dns_service],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "tlsCertFile": str(pki / f"{name}.crt"),
        "tlsPrivateKeyFile": str(pki / f"{name}.key"),
        "maxPods": 110,
        "serializeImagePulls": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
        "nodeStatusUpdateFrequency": "5s",
        "enforceNodeAllocatable": [],
        "protectKernelDefaults": False,
        "podLogsDir": str(node.folder / "pod-logs"),
        "resolvConf": str(node.instance.resolv_conf),
        "volumePluginDir": str(node.folder / "volume-plugins"),
    }
    return json.dumps(settings, indent=1) + "\n"


def containerd_configuration(node: NodeLayout) -> str:
    """`restrict_oom_score_adj`: without CAP_SYS_RESOURCE runc cannot lower a score and dies without saying so.

    The state folder is below /run, which is the node's own and lost with its power; images and containers are on disk.
    """
    unused = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "zfs", "devmapper"))
    return f"""version = 2
root = "{node.containerd}"
state = "/run/containerd/state"
disabled_plugins = [{unused}]
[grpc]
  address = "{node.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  max_concurrent_downloads = 4
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{node.folder / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def cni_configuration(node: NodeLayout) -> str:
    """Every pod is behind a routed link of its own, no bridge: so all its traffic passes the node's Service rules."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni/addresses",
        "ranges": [[{"subnet": node.node.pod_range}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": "localkube", "plugins": plugins}, indent=1) + "\n"


def corefile(layout: Layout) -> str:
    """The cluster's names, and a quick no to everything else: a test cluster asks nobody outside."""
    address = layout.plan.gateway.address
    return f"""{CLUSTER_DOMAIN}:53 in-addr.arpa:53 {{
    bind {address}
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig {layout.pki / "dns.kubeconfig"}
        ttl 5
    }}
    loadbalance
    errors
}}
.:53 {{
    bind {address}
    template ANY ANY {{
        rcode NXDOMAIN
        authority "{{{{ .Zone }}}} 60 IN SOA localhost. nobody.localhost. 1 60 60 60 60"
    }}
    health {address}:8080
    errors
}}
"""


def base_objects(layout: Layout) -> str:
    """What the cluster holds from its start: the DNS Service, the storage class and both programs' permissions."""
    return "\n---\n".join([_DNS_OBJECTS.format(plan=layout.plan), _STORAGE_OBJECTS])


_DNS_OBJECTS = """apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system, labels: {{k8s-app: kube-dns}}}}
spec:
  clusterIP: {plan.dns_service}
  ports:
  - {{name: dns, port: 53, protocol: UDP}}
  - {{name: dns-tcp, port: 53, protocol: TCP}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: kube-dns-localkube, namespace: kube-system, labels: {{kubernetes.io/service-name: kube-dns}}}}
addressType: IPv4
endpoints:
- {{addresses: ["{plan.gateway.address}"], conditions: {{ready: true}}}}
ports:
- {{name: dns, port: 53, protocol: UDP}}
- {{name: dns-tcp, port: 53, protocol: TCP}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: localkube-dns}}
rules:
- {{apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: localkube-dns}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: localkube-dns}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: localkube-dns}}"""

_STORAGE_OBJECTS = f"""apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: {STORAGE_CLASS}
  annotations: {{storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: {PROVISIONER}
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {SIZED_STORAGE_CLASS}}}
provisioner: {PROVISIONER}
parameters: {{sized: "true"}}
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {STORAGE_USER}}}
rules:
- {{apiGroups: [""], resources: [persistentvolumeclaims], verbs: [list, watch]}}
- {{apiGroups: [""], resources: [persistentvolumes], verbs: [list, watch, create, delete]}}
- {{apiGroups: [storage.k8s.io], resources: [storageclasses], verbs: [list, get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {STORAGE_USER}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {STORAGE_USER}}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: {STORAGE_USER}}}
"""
