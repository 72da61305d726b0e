"""The storage controller, a program of its own: volumes for claims, and their end when the claim is gone.

It compares claims and volumes with what should be there, whenever a watch reports something and at least every few
seconds, so it may be killed or cut off from the API server at any moment and goes on from what it then finds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lk.shell import CommandFailed, run
from lk.volumes import SIZED, Manifest, bytes_of, folder_of, own_classes, to_reclaim, volume_for

_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
_RESYNC = 5.0
_FAILURES = (OSError, http.client.HTTPException, ValueError, CommandFailed)


class RequestRefused(OSError):
    """The API server answered with an error code."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        super().__init__(f"{method} {path}: {status} {body[:200].decode(errors='replace')}")
        self.status = status


class Api:
    """The few calls that this controller makes, each on a connection of its own with a time limit in seconds."""

    def __init__(self, server: str, pki: Path) -> None:
        self._place = urlsplit(server)
        self._context = ssl.create_default_context(cafile=pki / "ca.crt")
        self._context.load_cert_chain(pki / "storage.crt", pki / "storage.key")

    def connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            str(self._place.hostname), self._place.port, timeout=timeout, context=self._context
        )

    def call(self, method: str, path: str, body: Manifest | None = None) -> Manifest:
        """One request; RequestRefused when the answer is an error."""
        connection = self.connect(timeout=10)
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RequestRefused(method, path, answer.status, content)
        parsed: Manifest = json.loads(content)
        return parsed

    def items(self, path: str) -> list[Manifest]:
        found: list[Manifest] = self.call("GET", path)["items"]
        return found

    def follow(self, path: str, changed: threading.Event) -> None:
        """Set `changed` for every event below `path` until the server ends the watch or falls silent."""
        connection = self.connect(timeout=70)
        try:
            connection.request("GET", f"{path}?watch=true&timeoutSeconds=60")
            answer = connection.getresponse()
            while answer.status == 200 and answer.readline():
                changed.set()
        finally:
            connection.close()


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _make_folder(path: Path, size: str | None) -> None:
    """Writable for any user: a pod without fsGroup must be able to use its volume, as with other local provisioners.

    With a size it is a file system of its own in memory, which is full when that is used up. The nodes see it because
    their folders of volumes are shared mounts (`node.share_volumes`).
    """
    path.mkdir(parents=True, exist_ok=True)
    if size is not None and not path.is_mount():
        run(["mount", "-t", "tmpfs", "-o", f"size={bytes_of(size)}", "localkube-volume", path])
    path.chmod(0o777)


def provision(api: Api, claim: Manifest, volume: Manifest) -> None:
    """Make the claim's folder, then the volume that points to it."""
    _make_folder(Path(volume["spec"]["local"]["path"]), volume["metadata"]["annotations"].get(SIZED))
    try:
        api.call("POST", _VOLUMES, volume)
    except RequestRefused as refused:
        if refused.status != 409:
            raise
        return  # made at an earlier look, and not yet bound
    log(f"volume {volume['metadata']['name']} for claim {claim['metadata']['namespace']}/{claim['metadata']['name']}")


def reclaim(api: Api, volume: Manifest, folders: Mapping[str, str]) -> None:
    """Wipe the folder, then delete the volume: in this order a volume that is gone has no data left."""
    name, folder = volume["metadata"]["name"], folder_of(volume, folders)
    if folder is None:
        return
    if Path(folder).is_mount():
        run(["umount", folder])
    if Path(folder).exists():
        shutil.rmtree(folder)
    api.call("DELETE", f"{_VOLUMES}/{name}")
    log(f"volume {name} reclaimed")


def look(api: Api, folders: Mapping[str, str]) -> None:
    """One comparison of what is with what should be."""
    classes = own_classes(api.items(_CLASSES))
    for claim in api.items(_CLAIMS):
        volume = volume_for(claim, classes, folders)
        if volume is not None:
            _attempt(volume, provision, api, claim, volume)
    for volume in api.items(_VOLUMES):
        if to_reclaim(volume):
            _attempt(volume, reclaim, api, volume, folders)


def _attempt(volume: Manifest, action: Callable[..., None], *arguments: object) -> None:
    """One volume's failure must not keep the others waiting; it is tried again at the next look."""
    try:
        action(*arguments)
    except _FAILURES as problem:
        log(f"volume {volume['metadata']['name']}: will try again: {problem}")


def _follow_forever(api: Api, path: str, changed: threading.Event) -> None:
    while True:
        try:
            api.follow(path, changed)
        except _FAILURES as problem:
            log(f"watch of {path}: {problem}")
            time.sleep(0.5)
        changed.set()


def main() -> None:
    """Run until killed."""
    arguments = argparse.ArgumentParser(prog="localkube storage")
    arguments.add_argument("--server", required=True)
    arguments.add_argument("--pki", type=Path, required=True)
    arguments.add_argument("--node", action="append", required=True, metavar="NAME=FOLDER")
    given = arguments.parse_args()
    folders = dict(item.split("=", 1) for item in given.node)
    api, changed = Api(given.server, given.pki), threading.Event()
    for path in (_CLAIMS, _VOLUMES):
        threading.Thread(target=_follow_forever, args=(api, path, changed), daemon=True).start()
    while True:
        changed.wait(_RESYNC)
        changed.clear()
        try:
            look(api, folders)
        except _FAILURES as problem:
            log(f"will look again: {problem}")
            time.sleep(0.5)


if __name__ == "__main__":
    main()
