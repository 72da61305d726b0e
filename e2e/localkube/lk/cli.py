"""The command line."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from lk import cluster, faults, image_build, images, link_delay, node
from lk.processes import in_network
from lk.settings import DEFAULT_NODES, MAXIMUM_NODES, cache_folder
from lk.shell import LocalkubeError, say


def _up(given: argparse.Namespace) -> int:
    layout = cluster.up(given.name, given.nodes)
    use = f'eval "$({_own_path()}{_name_option(given)} env)"'
    say(f"{given.name} is up with {layout.plan.node_count} nodes; use it with: {use}")
    return 0


def _own_path() -> str:
    return os.path.relpath(sys.argv[0]) if "/" in sys.argv[0] else sys.argv[0]


def _name_option(given: argparse.Namespace) -> str:
    return "" if given.name == "localkube" else f" --name {given.name}"


def _down(given: argparse.Namespace) -> int:
    say(f"{given.name} is down" if cluster.down(given.name) else f"{given.name} was not up")
    return 0


def _status(given: argparse.Namespace) -> int:
    layout = cluster.find_or_none(given.name)
    if layout is None:
        print(f"{given.name}: not up")
        return 3
    shown = cluster.status(layout)
    print(f"{given.name}: {'healthy' if shown.healthy else 'not healthy'}")
    print(f"  API server   {layout.plan.api_server} {'answers' if shown.api else 'does not answer'}")
    print(f"  pods         {layout.plan.pods}   services {layout.plan.services}")
    print(f"  kubeconfig   {layout.kubeconfig}")
    for one in layout.plan.nodes:
        on = node.machine_pid(layout.node(one)) is not None
        state = "off" if not on else "ready" if shown.ready[one.name] else "not ready"
        cut = ", cut off or lossy" if one.name in shown.cut_off and on else ""
        print(f"  {one.name:<12} {one.endpoint.address} {state}{cut}")
    if link_delay.is_on(layout):
        print("  a delay of the API server is on")
    for part in sorted(part for part, alive in shown.parts.items() if not alive):
        print(f"  no process   {part}")
    return 0 if shown.healthy else 1


def _kubeconfig(given: argparse.Namespace) -> int:
    path = cluster.find(given.name).kubeconfig
    print(path.read_text() if given.print else path, end="" if given.print else "\n")
    return 0


def _env(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    print(f"export KUBECONFIG={shlex.quote(str(layout.kubeconfig))}")
    print(f"export PATH={shlex.quote(str(cache_folder() / 'bin'))}:$PATH")
    return 0


def _load(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    on = [layout.node(one) for one in layout.plan.nodes]
    off = [one.node.name for one in on if node.machine_pid(one) is None]
    if off:
        raise LocalkubeError(f"{', '.join(off)}: off; start it before loading images")
    images.load(on, given.archives)
    return 0


def _logs(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    path = layout.log(given.component)
    if "/" in given.component or not path.exists():
        known = ", ".join(sorted(found.stem for found in layout.logs.glob("*.log")))
        raise LocalkubeError(f"no component {given.component!r}: there are {known}")
    os.execvp("tail", ["tail", "-n", str(given.lines), *(["-f"] if given.follow else []), str(path)])


def _partition(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    victim = cluster.find_node(layout, given.node)
    if given.one_way:
        faults.partition_one_way(victim, given.one_way)
    else:
        faults.partition(layout, victim)
    return 0


def _loss(given: argparse.Namespace) -> int:
    faults.lose_packets(cluster.find_node(cluster.find(given.name), given.node), given.percent)
    return 0


def _heal(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    faults.heal(layout, cluster.find_node(layout, given.node))
    return 0


def _api(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    if given.action == "delay":
        faults.delay_api(layout, given.milliseconds)
    elif given.action == "pause":
        faults.pause_api(layout)
    else:
        faults.resume_api(layout)
    return 0


def _node(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    victim = cluster.find_node(layout, given.node)
    (faults.kill_node if given.action == "kill" else faults.start_node)(layout, victim)
    return 0


def _container(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    place = cluster.find_node(layout, given.node)
    (faults.pause_container if given.action == "pause" else faults.resume_container)(layout, place, given.container)
    return 0


def _exec_node(given: argparse.Namespace) -> int:
    layout = cluster.find(given.name)
    place = cluster.find_node(layout, given.node).endpoint.namespace
    if not given.words:
        raise LocalkubeError("exec-node needs a command")
    words = [*in_network(place), *given.words]
    os.execvp(words[0], words)


def _build(given: argparse.Namespace) -> int:
    image_build.build(
        image_build.Request(
            context=given.context,
            dockerfile=given.file,
            target=given.target,
            tag=given.tag,
            arguments=tuple(given.build_arg),
            output=given.output,
            inputs=tuple(given.input),
            cached=given.cache_key,
        )
    )
    return 0


def _fault_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cut = commands.add_parser("partition", help="cut a node off from everything else")
    cut.add_argument("node")
    cut.add_argument("--one-way", choices=("in", "out"), help="only what comes in, or only what goes out, is lost")
    cut.set_defaults(action_of=_partition)
    loss = commands.add_parser("loss", help="lose some of a node's packets at random; 0 ends it")
    loss.add_argument("node")
    loss.add_argument("percent", type=int)
    loss.set_defaults(action_of=_loss)
    mend = commands.add_parser("heal", help="end a node's partition or loss")
    mend.add_argument("node")
    mend.set_defaults(action_of=_heal)
    container = commands.add_parser("container", help="freeze a container of a node, or let it go on")
    container.add_argument("action", choices=("pause", "resume"))
    container.add_argument("node")
    container.add_argument("container", help="its id, without the runtime's prefix")
    container.set_defaults(action_of=_container)
    api = commands.add_parser("api", help="pause, resume or delay the API server")
    actions = api.add_subparsers(dest="action", required=True, metavar="pause|resume|delay")
    for name in ("pause", "resume"):
        actions.add_parser(name)
    actions.add_parser("delay", help="0 ends it").add_argument("milliseconds", type=int)
    api.set_defaults(action_of=_api)
    power = commands.add_parser("node", help="take a node's power away, or give it back")
    power.add_argument("action", choices=("kill", "start"))
    power.add_argument("node")
    power.set_defaults(action_of=_node)
    inside = commands.add_parser("exec-node", help="run a command in a node's network")
    inside.add_argument("node")
    inside.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    inside.set_defaults(action_of=_exec_node)


def _image_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    load = commands.add_parser("load", help="bring image archives into every node")
    load.add_argument("archives", nargs="+", type=Path, metavar="IMAGE.tar")
    load.set_defaults(action_of=_load)
    build = commands.add_parser("build", help="build an image from a Dockerfile into an archive")
    build.add_argument("-f", "--file", type=Path, help="the Dockerfile (default: CONTEXT/Dockerfile)")
    build.add_argument("--target", help="the stage to build")
    build.add_argument("--tag", required=True, metavar="NAME:TAG")
    build.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    build.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.tar")
    build.add_argument("--cache-key", action="store_true", help="reuse the archive when no input has changed")
    build.add_argument("--input", type=Path, action="append", default=[], help="only these of CONTEXT are inputs")
    build.add_argument("context", type=Path)
    build.set_defaults(action_of=_build)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(prog="localkube", description="A real Kubernetes cluster on this machine.")
    root.add_argument("--name", default="localkube", help="the instance (default: localkube)")
    commands = root.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="bring the cluster up; builds what is missing")
    counts = range(1, MAXIMUM_NODES + 1)
    told = f"how many nodes a new cluster gets, 1 to {MAXIMUM_NODES} (default: {DEFAULT_NODES})"
    start.add_argument("--nodes", type=int, choices=counts, metavar="N", help=told)
    start.set_defaults(action_of=_up)
    for name, action, text in (
        ("down", _down, "remove the cluster and every trace of it but the caches"),
        ("status", _status, "how it is; exit code 0 healthy, 1 not healthy, 3 not up"),
        ("env", _env, "print the shell lines that set KUBECONFIG and PATH"),
    ):
        commands.add_parser(name, help=text).set_defaults(action_of=action)
    kubeconfig = commands.add_parser("kubeconfig", help="print the kubeconfig's path")
    kubeconfig.add_argument("--print", action="store_true", help="print its content")
    kubeconfig.set_defaults(action_of=_kubeconfig)
    logs = commands.add_parser("logs", help="the end of a component's log")
    logs.add_argument("component")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("-n", "--lines", type=int, default=100)
    logs.set_defaults(action_of=_logs)
    _image_commands(commands)
    _fault_commands(commands)
    _take_name_behind(commands)
    return root


def _take_name_behind(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`--name` may also follow the command: people put it there."""
    for command in commands.choices.values():
        command.add_argument("--name", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        for action in command._actions:
            if isinstance(action, argparse._SubParsersAction):
                _take_name_behind(action)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; its exit code is the answer."""
    given = parser().parse_args(words)
    try:
        code: int = given.action_of(given)
    except LocalkubeError as problem:
        print(f"localkube: {problem}", file=sys.stderr)
        return 1
    except PermissionError as problem:
        print(f"localkube: {problem}: run it as root", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("localkube: interrupted; `up` clears what is half done, `down` removes it", file=sys.stderr)
        return 130
    return code
