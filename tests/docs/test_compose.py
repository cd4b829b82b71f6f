"""docker-compose.yml and what it mounts, checked by everything short of a Docker engine."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from otel_llm_collector import cli as collector_cli
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.engine import load_engine

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DEPLOY = ROOT / "deploy"
_ADDRESS = re.compile(r"\b([a-z][a-z-]*):(\d{2,5})\b")


def needs(program: str) -> str:
    """The path of a checker, or a skip that says how to get it."""
    path = shutil.which(program)
    if path is None:
        package = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}[program]
        pytest.skip(f"{program} is not installed; apt-get install {package} gives it")
    return path


def network_of(name: str) -> str:
    """The service whose network `name` is in: its own, or the one it shares."""
    return str(SERVICES[name].get("network_mode", f"service:{name}")).removeprefix("service:")


def open_ports(name: str) -> set[int]:
    """The ports that other services may use of `name`."""
    service = SERVICES[name]
    published = {int(port.rpartition(":")[2]) for port in service.get("ports", [])}
    return published | {int(port) for port in service.get("expose", [])}


def mounts() -> list[tuple[str, str, str]]:
    """(service, path in the repository, path in the container) of every bind mount."""
    found = []
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target, *options = volume.split(":")
            if source.startswith("."):
                assert options == ["ro"], f"{name} mounts {source} writable"
                found.append((name, source, target))
            else:
                assert source in COMPOSE["volumes"], f"{name} uses the volume {source}, which is not declared"
    return found


def test_the_promised_services_are_there() -> None:
    """The demo app, the collector and the four that people look at."""
    assert {"app", "collector", "jaeger", "prometheus", "alertmanager", "grafana"} <= SERVICES.keys()


def test_images_are_pinned() -> None:
    """Each image names a version or is built here; the Dockerfile's base too."""
    images = {service["image"] for service in SERVICES.values() if "build" not in service}
    base = re.findall(r"^FROM (\S+)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert images
    assert base
    for image in (*images, *base):
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+[a-z0-9.-]*", image), f"{image} has no version for a tag"


def test_ports_are_published_on_loopback_and_once() -> None:
    """Nothing is reachable from another machine, and no two services want one port."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    host_ports = [port.split(":")[1] for port in published]
    assert len(host_ports) == len(set(host_ports))


def test_mounted_files_are_there() -> None:
    """Every bind mount names a file or folder of the repository, and none of them is empty."""
    for name, source, _ in mounts():
        path = ROOT / source
        assert path.exists(), f"{name} mounts {source}, which is not there"
        assert path.is_file() or any(path.iterdir()), f"{name} mounts the empty folder {source}"


def test_commands_name_mounted_or_copied_files() -> None:
    """A path in a command or setting lies below a mount, a volume or what the Dockerfile copies."""
    known = [target for _, _, target in mounts()]
    known += [volume.split(":")[1] for one in SERVICES.values() for volume in one.get("volumes", [])]
    for name, service in SERVICES.items():
        environment = service.get("environment", {})
        for value in (*service.get("command", []), *environment.values()):
            path = str(value).rpartition("=")[2]
            if path.startswith("/"):
                assert any(path.startswith(target) for target in known), f"{name} uses {path}, which nothing provides"
            elif path.endswith(".py") or path.startswith("examples/"):
                assert (ROOT / path).exists(), f"{name} runs {path}, which is not there"
    for _, source, target in mounts():
        for service in SERVICES.values():
            for value in service.get("command", []):
                path = str(value).rpartition("=")[2]
                if path.startswith(f"{target}/"):
                    assert (ROOT / source / path.removeprefix(f"{target}/")).is_file()


def test_addresses_name_services_and_open_ports() -> None:
    """Every service:port in the compose file and the mounted files is a service that opens that port."""
    settings = [path for path in DEPLOY.rglob("*") if path.suffix in {".yaml", ".yml"}]
    texts = {str(path): path.read_text(encoding="utf-8") for path in settings}
    texts["docker-compose.yml"] = " ".join(
        str(value)
        for service in SERVICES.values()
        for value in (*service.get("command", []), *service.get("environment", {}).values())
    )
    found = set()
    for where, text in texts.items():
        for host, port in _ADDRESS.findall(text):
            if host in SERVICES:
                assert int(port) in open_ports(host), f"{where}: {host} does not open {port}"
                found.add(host)
    assert found >= {"app", "collector", "jaeger", "prometheus", "alertmanager"}, "the pattern finds addresses"


def test_loopback_addresses_stay_in_one_network() -> None:
    """The app reaches its model over 127.0.0.1 because both share one network."""
    assert network_of("model") == "app"
    port = SERVICES["model"]["command"][-1]
    assert SERVICES["app"]["environment"]["OPENAI_BASE_URL"] == f"http://127.0.0.1:{port}/v1"


def collector_config() -> config.Config:
    """The collector's configuration as it is mounted."""
    command = SERVICES["collector"]["command"]
    options = collector_cli._parser().parse_args(command[1:])
    [(source, target)] = [(source, target) for name, source, target in mounts() if name == "collector"]
    return config.load(ROOT / source / str(options.file).removeprefix(f"{target}/"), {})


def test_the_collector_can_be_built_from_its_configuration() -> None:
    """The command parses, the configuration and its rules are right, and it listens where compose publishes."""
    app = App(collector_config(), load_engine({}))
    assert app.receivers.keys() == {"OTLP/gRPC", "OTLP/HTTP"}
    settings = collector_config()
    assert settings.receivers.otlp.grpc is not None
    assert settings.receivers.otlp.http is not None
    listening = [settings.receivers.otlp.grpc.endpoint, settings.receivers.otlp.http.endpoint, settings.server.endpoint]
    assert listening == [f"0.0.0.0:{port}" for port in sorted(open_ports("collector"))]
    assert sum(len(group.rules) for group in config.load_rules(settings)) > 3


CHECKS: dict[str, Callable[[], list[str]]] = {
    "prometheus": lambda: [needs("promtool"), "check", "config", str(DEPLOY / "prometheus/prometheus.yml")],
    "alertmanager": lambda: [needs("amtool"), "check-config", str(DEPLOY / "alertmanager/alertmanager.yml")],
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_programs_own_checkers_agree(name: str) -> None:
    """Promtool and amtool accept what is mounted for Prometheus and Alertmanager."""
    ended = subprocess.run(CHECKS[name](), capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_grafana_finds_what_is_provisioned() -> None:
    """The provider's folder and the home dashboard are mounted; data sources are named once."""
    targets = {target: ROOT / source for name, source, target in mounts() if name == "grafana"}
    provisioning = targets["/etc/grafana/provisioning"]
    [provider] = yaml.safe_load((provisioning / "dashboards/dashboards.yaml").read_text(encoding="utf-8"))["providers"]
    dashboards = targets[provider["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (dashboards / Path(home).name).is_file()
    assert str(Path(home).parent) == provider["options"]["path"]
    sources = yaml.safe_load((provisioning / "datasources/datasources.yaml").read_text(encoding="utf-8"))["datasources"]
    assert len({source["uid"] for source in sources}) == len(sources) == 3
    assert [source["name"] for source in sources if source.get("isDefault")] == ["Prometheus"]


def test_the_image_holds_what_its_services_run() -> None:
    """What the Dockerfile copies is there and let through by .dockerignore, and includes every script that is run."""
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [source for line in lines if line.startswith("COPY ") for source in shlex.split(line)[1:-1]]
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for source in copied:
        assert (ROOT / source).exists(), f"the Dockerfile copies {source}, which is not there"
        assert f"!{source}" in let_through, f".dockerignore keeps {source} out"
    for name, service in SERVICES.items():
        for word in service["command"] if "build" in service else []:
            if word.startswith(("examples/", "deploy/")):
                assert any(word == source or word.startswith(f"{source}/") for source in copied), f"{name} lacks {word}"
