"""The manifests for Kubernetes are what Kubernetes knows, and say what the settings and images say. No cluster runs."""

import json
import re
import shutil
import subprocess
import tomllib
from argparse import Namespace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from concord.server.declared import catalogue
from concord.server.embedded import Ports
from concord.server.installation import MODEL_REPOSITORIES, ROOT, needed_variables
from deploy.manifests import NEWEST, OLDEST, OVERLAYS, Manifest, ManifestError, problems, rendered
from facade.routes.server import router
from facade.serve import DIRECT_SECONDS
from facade.settings import PREFIX, Settings, SettingsError, from_arguments, rows
from facade.work.catalogue import concurrency_of

KUBERNETES = OVERLAYS.parent
KSERVE = KUBERNETES / "kserve"
FIELDS = Path(__file__).with_name("kserve_fields.py")
PYTHON = ROOT / ".venv-kserve" / "bin" / "python"
NAMES = sorted(folder.name for folder in OVERLAYS.iterdir())
ON_A_GPU = sorted(set(NAMES) - {"cpu"})
OF_A_MODEL = {"minReplicas", "maxReplicas", "autoScaling", "model"}
"""What KServe's predictor has beside the fields of a pod."""


@cache
def overlay(name: str) -> dict[str, Manifest]:
    """The manifests of an overlay, by kind."""
    return {each["kind"]: each for each in rendered(OVERLAYS / name)}


def pod(name: str) -> dict[str, Any]:
    return overlay(name)["Deployment"]["spec"]["template"]["spec"]


@cache
def kserve_pod() -> dict[str, Any]:
    """The pod that KServe makes of the runtime and of the service."""
    runtime, service = (
        next(each["spec"] for each in rendered(KSERVE) if each["kind"] == kind)
        for kind in ("ServingRuntime", "InferenceService")
    )
    [container], model = runtime["containers"], service["predictor"]["model"]
    own = {field: value for field, value in service["predictor"].items() if field not in OF_A_MODEL}
    return own | {
        "containers": [container | {"env": container["env"] + model["env"]}],
        "volumes": runtime["volumes"],
    }


def pods() -> dict[str, dict[str, Any]]:
    return {name: pod(name) for name in NAMES} | {KSERVE.name: kserve_pod()}


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", ()), *spec["containers"]]


def facade_of(spec: dict[str, Any]) -> dict[str, Any]:
    [found] = spec["containers"]
    return found


def variables(name: str) -> dict[str, str]:
    """What the facade's container is told."""
    if name == KSERVE.name:
        return {each["name"]: each["value"] for each in facade_of(kserve_pod())["env"]}
    return overlay(name)["ConfigMap"]["data"]


def settings(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that the facade reads in a pod."""
    for row in rows():
        monkeypatch.delenv(row.variable, raising=False)
    for variable, value in variables(name).items():
        monkeypatch.setenv(variable, value)
    return from_arguments(Namespace())


def size(quantity: str) -> int:
    """Bytes of a quantity such as ``2Gi``."""
    return int(quantity.removesuffix("Gi")) * 2**30


@pytest.mark.parametrize("release", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_knows_every_field(name, release):
    manifests = overlay(name)
    assert manifests.keys() >= {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service",
    }  # fmt: skip
    assert problems(manifests.values(), release) == []


@pytest.mark.parametrize(
    ("file", "right", "wrong", "field"),
    [
        (
            "base/deployment.yaml",
            "containerPort: 8080",
            "containerPort: http",
            "Deployment concord: spec.template.spec.containers[0].ports[0].containerPort: 'http' is not",
        ),
        (
            "base/deployment.yaml",
            "runAsNonRoot: true",
            "runAsNoRoot: true",
            "Deployment concord: spec.template.spec.securityContext: Additional properties are not allowed"
            " ('runAsNoRoot' was unexpected)",
        ),
        (
            "scaling/autoscaler.yaml",
            "maxReplicas: 8",
            "",
            "HorizontalPodAutoscaler concord: spec: 'maxReplicas' is a required property",
        ),
        (
            "scaling/autoscaler.yaml",
            "autoscaling/v2",
            "autoscaling/v2beta2",
            "HorizontalPodAutoscaler concord: apiVersion, kind: ",
        ),
    ],
    ids=["type", "unknown", "missing", "old"],
)
def test_a_wrong_manifest_is_refused_with_the_field_s_path(file, right, wrong, field, tmp_path):
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    spoilt = tmp_path / "kubernetes" / file
    assert right in spoilt.read_text()
    spoilt.write_text(spoilt.read_text().replace(right, wrong))
    found = problems(rendered(tmp_path / "kubernetes" / "overlays" / "gpu"))
    assert len(found) == 1 and found[0].startswith(field)


def test_a_patch_of_what_is_not_there_is_refused(tmp_path):
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    base = tmp_path / "kubernetes" / "base" / "deployment.yaml"
    base.write_text(base.read_text().replace("name: concord\n", "name: concorde\n", 1))
    with pytest.raises(ManifestError, match="Deployment"):
        rendered(tmp_path / "kubernetes" / "overlays" / "gpu")


@pytest.mark.parametrize("name", [*NAMES, KSERVE.name])
def test_every_variable_is_a_setting_and_its_value_is_allowed(name, monkeypatch):
    assert set(variables(name)) <= {row.variable for row in rows()}
    assert settings(name, monkeypatch).host == "0.0.0.0"
    monkeypatch.setenv("CONCORD_DRAIN_SECONDS", "-1")
    with pytest.raises(SettingsError, match="CONCORD_DRAIN_SECONDS"):
        from_arguments(Namespace())


@pytest.mark.parametrize("name", [*NAMES, KSERVE.name])
def test_ports_and_probes_are_the_facade_s(name, monkeypatch):
    container = facade_of(pods()[name])
    [port] = container["ports"]
    assert port["containerPort"] == settings(name, monkeypatch).port
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {get["port"] for get in asked.values()} <= {port["name"], port["containerPort"]}
    paths = {route.path for route in router.routes}
    assert {get["path"] for get in asked.values()} <= paths
    # A facade without its Triton gets no requests, and is not started again either.
    assert asked["readiness"]["path"] == "/readyz" and asked["liveness"]["path"] == "/healthz"


@pytest.mark.parametrize("name", NAMES)
def test_the_service_leads_to_the_facade_and_has_a_name_that_it_answers_to(name, monkeypatch):
    manifests = overlay(name)
    service, [port] = manifests["Service"], facade_of(pod(name))["ports"]
    assert [each["targetPort"] for each in service["spec"]["ports"]] == [port["name"]]
    assert f"http://{service['metadata']['name']}" in settings(name, monkeypatch).origins
    assert not pod(name)["enableServiceLinks"], "the service's variable CONCORD_PORT would not be a number"


@pytest.mark.parametrize("name", [*NAMES, KSERVE.name])
def test_the_grace_period_is_longer_than_the_drain_and_the_end_of_triton(name, monkeypatch):
    spec, said = pods()[name], settings(name, monkeypatch)
    hook = facade_of(spec)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert hook > 0, "a facade that stops listens no more, though balancers still know it"
    assert spec["terminationGracePeriodSeconds"] > hook + said.drain_seconds + DIRECT_SECONDS


@pytest.mark.parametrize("name", [*NAMES, KSERVE.name])
def test_memory_is_enough_for_what_the_settings_allow_and_for_what_counts_in_it(name, monkeypatch):
    spec = pods()[name]
    in_memory = {
        volume["name"]: size(volume["emptyDir"]["sizeLimit"])
        for volume in spec["volumes"]
        if volume.get("emptyDir", {}).get("medium") == "Memory"
    }
    for container in containers(spec):
        held = settings(name, monkeypatch).max_held_bytes if container in spec["containers"] else 0
        shared = sum(in_memory.get(mount["name"], 0) for mount in container["volumeMounts"])
        assert size(container["resources"]["limits"]["memory"]) > held + shared


@pytest.mark.parametrize("name", [*NAMES, KSERVE.name])
def test_whoever_runs_python_models_has_shared_memory(name):
    spec = pods()[name]
    triton, *_ = containers(spec)
    [volume] = [mount["name"] for mount in triton["volumeMounts"] if mount["mountPath"] == "/dev/shm"]
    [kind] = [each["emptyDir"]["medium"] for each in spec["volumes"] if each["name"] == volume]
    assert kind == "Memory"


@pytest.mark.parametrize("name", [*NAMES, KSERVE.name])
def test_no_container_has_rights(name):
    spec = pods()[name]
    assert spec["automountServiceAccountToken"] is False
    for container in containers(spec):
        context = spec["securityContext"] | container["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] > 0 and context["readOnlyRootFilesystem"]
        assert context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPath" in volume for volume in spec["volumes"])


@pytest.mark.parametrize("name", [*NAMES, KSERVE.name])
def test_images_are_those_of_the_dockerfiles_and_of_this_version(name):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    spec = pods()[name]
    for container in containers(spec):
        image, _, tag = container["image"].partition(":")
        dockerfile = ROOT / "deploy" / f"Dockerfile.{image.removeprefix('concord-')}"
        assert tag == version
        user = (spec["securityContext"] | container["securityContext"])["runAsUser"]
        assert re.findall(r"^USER (\d+)$", dockerfile.read_text(), re.MULTILINE) == [str(user)]


@pytest.mark.parametrize("name", [*NAMES, KSERVE.name])
def test_keys_come_from_a_secret_that_the_user_can_read(name, monkeypatch):
    spec, path = pods()[name], settings(name, monkeypatch).api_keys_file
    mounts = {mount["mountPath"]: mount for mount in facade_of(spec)["volumeMounts"]}
    mount = mounts[str(path.parent)]
    # With a `subPath`, changes would not be seen.
    assert mount["readOnly"] and "subPath" not in mount
    [secret] = [volume["secret"] for volume in spec["volumes"] if volume["name"] == mount["name"]]
    assert secret["defaultMode"] == 0o440 and spec["securityContext"]["fsGroup"]
    assert f"{PREFIX}API_KEYS" not in variables(name)


@pytest.mark.parametrize("name", ON_A_GPU)
def test_triton_runs_beside_the_facade_from_before_its_start_until_after_its_end(name, monkeypatch):
    [triton] = pod(name)["initContainers"]
    assert triton["restartPolicy"] == "Always" and triton["startupProbe"] and triton["livenessProbe"]
    assert settings(name, monkeypatch).triton_url == f"127.0.0.1:{Ports.grpc}"
    assert triton["args"] == ["--grpc-address=127.0.0.1"]
    for probe in (triton["startupProbe"], triton["livenessProbe"]):
        assert urlsplit(probe["exec"]["command"][-1]).port == Settings.model_fields["http_port"].default


@pytest.mark.parametrize("name", ON_A_GPU)
def test_triton_is_told_the_profile_and_the_limits(name, monkeypatch):
    [triton] = pod(name)["initContainers"]
    for row in rows():
        monkeypatch.setenv(row.variable, "1")
    taken = {variable for variable in needed_variables() if variable.startswith(PREFIX)}
    told = {each["name"]: each["valueFrom"]["configMapKeyRef"] for each in triton["env"]}
    assert set(told) == taken | {"CONCORD_MODEL_CONFIG_NAME"}
    assert all(each["key"] == variable for variable, each in told.items())
    assert {each["name"] for each in told.values()} == {overlay(name)["ConfigMap"]["metadata"]["name"]}
    assert settings(name, monkeypatch).model_config_name == "cuda"


@pytest.mark.parametrize(("name", "resource"), [("cpu", None), ("gpu", "nvidia.com/gpu"), ("mig", "nvidia.com/mig-")])
def test_a_pod_asks_for_one_gpu_or_for_one_slice_or_for_none(name, resource):
    asked = [
        (kind, amount)
        for container in containers(pod(name))
        for kind, amount in container["resources"]["limits"].items()
        if kind.startswith("nvidia.com/")
    ]
    assert len(asked) == (resource is not None)
    assert all(kind.startswith(resource) and amount == "1" for kind, amount in asked)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_selects_pods_selects_the_facade_s(name):
    manifests = overlay(name)
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        manifests["Service"]["spec"]["selector"],
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod(name)["topologySpreadConstraints"]),
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_facade_s_port_is_open_and_nothing_goes_out(name):
    policy = overlay(name)["NetworkPolicy"]["spec"]
    [port] = facade_of(pod(name))["ports"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"] and policy.get("egress", []) == []
    assert [each["port"] for rule in policy["ingress"] for each in rule["ports"]] == [port["name"]]
    assert all(rule["from"] for rule in policy["ingress"])


def with_components(name: str, components: list[str], place: Path) -> dict[str, Any]:
    """The manifests of an overlay that takes these components too, by kind; Kubernetes knows every field of them."""
    shutil.copytree(KUBERNETES, place)
    kustomization = place / "overlays" / name / "kustomization.yaml"
    own = yaml.safe_load(kustomization.read_text())
    own["components"] = [*own.get("components", ()), *(f"../../{each}" for each in components)]
    kustomization.write_text(yaml.safe_dump(own))
    manifests = rendered(kustomization.parent)
    assert [problems(manifests, release) for release in (OLDEST, NEWEST)] == [[], []]
    return {each["kind"]: each for each in manifests}


def reached(manifests: dict[str, Any]) -> set[int]:
    """The ports that the facade may reach, each at named pods alone."""
    rules = manifests["NetworkPolicy"]["spec"]["egress"]
    assert all(rule["to"] for rule in rules)
    return {each["port"] for rule in rules for each in rule["ports"]}


@pytest.mark.parametrize("name", NAMES)
def test_with_shared_rates_the_facade_reaches_redis_and_the_dns_alone(name, tmp_path):
    found = with_components(name, ["rates"], tmp_path / "kubernetes")
    [variable] = facade_of(found["Deployment"]["spec"]["template"]["spec"])["env"]
    assert variable["name"] in {row.variable for row in rows()} and "secretKeyRef" in variable["valueFrom"]
    assert reached(found) == {6379, 53}


@pytest.mark.parametrize("name", NAMES)
def test_with_tracing_the_facade_reaches_the_collector_that_it_is_told_and_the_dns_alone(name, tmp_path):
    found = with_components(name, ["tracing"], tmp_path / "kubernetes")
    told = found["ConfigMap"]["data"]
    assert told.items() > variables(name).items()
    [variable] = told.keys() - variables(name).keys()
    settings = from_arguments(Namespace(**{variable.removeprefix(PREFIX).lower(): told[variable]}))
    assert reached(found) == {urlsplit(settings.otlp_endpoint).port, 53}


def test_both_components_together_reach_what_each_does(tmp_path):
    assert reached(with_components("cpu", ["rates", "tracing"], tmp_path / "kubernetes")) == {6379, 4318, 53}


@pytest.mark.parametrize("name", NAMES)
def test_one_pod_at_most_may_be_taken_and_more_are_there(name):
    manifests = overlay(name)
    assert manifests["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    scaled = manifests["HorizontalPodAutoscaler"]["spec"]
    assert scaled["minReplicas"] > 1
    assert "replicas" not in manifests["Deployment"]["spec"], "each `kubectl apply` would undo the autoscaler's work"
    assert scaled["scaleTargetRef"]["name"] == manifests["Deployment"]["metadata"]["name"]


def test_kubernetes_knows_every_field_of_the_pod_that_kserve_makes():
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": kserve_pod()}
    assert problems([manifest], OLDEST) == problems([manifest], NEWEST) == []


def told_of_kserve(manifests: list[Manifest]) -> list[str]:
    ran = subprocess.run([PYTHON, FIELDS], input=json.dumps(manifests), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.skipif(not PYTHON.exists(), reason="KServe's package is not installed: make .venv-kserve/installed")
def test_kserve_s_own_models_know_every_field_and_name_one_that_is_wrong():
    runtime, service = rendered(KSERVE)
    assert told_of_kserve([runtime, service]) == []
    runtime["spec"]["containers"][0]["ports"][0]["containerPort"] = "http"
    service["spec"]["predictor"]["modell"] = service["spec"]["predictor"].pop("model")
    service["spec"]["predictor"]["autoScaling"]["metrics"][0]["external"]["metric"]["backend"] = 1
    assert [found.partition(": ")[0] for found in told_of_kserve([runtime, service])] == [
        "ServingRuntime.spec.containers[0].ports[0].containerPort",
        "InferenceService.spec.predictor.autoScaling.metrics[0].external.metric.backend",
        "InferenceService.spec.predictor.modell",
    ]


def test_kserve_s_service_asks_for_the_runtime_that_is_there():
    runtime, service = rendered(KSERVE)
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in [each["name"] for each in runtime["spec"]["supportedModelFormats"]]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


def test_both_autoscalers_add_replicas_when_requests_have_to_wait(monkeypatch):
    _, service = rendered(KSERVE)
    least = min(concurrency_of(catalogue(MODEL_REPOSITORIES, missing=()), settings("cpu", monkeypatch)).values())
    for scaled in (overlay("cpu")["HorizontalPodAutoscaler"]["spec"], service["spec"]["predictor"]["autoScaling"]):
        [metric] = scaled["metrics"]
        assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": str(least)}
