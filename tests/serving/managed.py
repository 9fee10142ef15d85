"""``concord serve`` whose models may be managed, with models that load and answer when a test says so."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.serving.pictures import encoded, middle, photograph
from tests.serving.stack import Stack, harmonizing_models, serving, wait_until

PATIENCE = 120.0
FILES = {"image": encoded(photograph(64, 48)), "mask": encoded(middle(64, 48))}
_MODEL = """import time
from pathlib import Path

import triton_python_backend_utils as pb_utils


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.005)


class TritonPythonModel:
    def initialize(self, args):
        wait_for({loads!r})

    def execute(self, requests):
        wait_for({answers!r})
        images = [pb_utils.get_input_tensor_by_name(request, "IMAGE") for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("HARMONIZED", image.as_numpy())]) for image in images]
"""
_CONFIG = """name: "harmonize_{name}"
backend: "python"
max_batch_size: 1
input [ {{ name: "IMAGE" data_type: TYPE_STRING dims: [ 1 ] }}, {{ name: "MASK" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {{ name: "HARMONIZED" data_type: TYPE_STRING dims: [ 1 ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
parameters {{ key: "task" value {{ string_value: "harmonize" }} }}
parameters {{ key: "model" value {{ string_value: "{name}" }} }}
{more}"""


class Gates:
    """When the models of a folder load and answer; all do at first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, model: str, what: str) -> Path:
        return self._folder / f"{model}.{what}"

    def open(self, model: str, what: str) -> None:
        self.path(model, what).touch()

    def close(self, model: str, what: str) -> None:
        self.path(model, what).unlink()


def write_gated(repository: Path, gates: Gates, name: str, more: str = "") -> None:
    """A pipeline ``harmonize_NAME`` of a model NAME, whose answer is its image."""
    for what in ("loads", "answers"):
        gates.open(name, what)
    version = repository / f"harmonize_{name}" / "1"
    version.mkdir(parents=True)
    paths = {what: str(gates.path(name, what)) for what in ("loads", "answers")}
    (version / "model.py").write_text(_MODEL.format(**paths))
    (version.parent / "config.pbtxt").write_text(_CONFIG.format(name=name, more=more))


def write_network(repository: Path, gates: Gates, name: str, bytes_: int) -> None:
    """A model NAME of a network ``NAME_network``, whose file is nothing but a size."""
    write_gated(repository, gates, name, f'parameters {{ key: "part.net" value {{ string_value: "{name}_network" }} }}')
    real = (repository / "ht").resolve()
    network = repository / f"{name}_network"
    (network / "1").mkdir(parents=True)
    config = (real / "config.pbtxt").read_text().replace('name: "ht"', f'name: "{name}_network"')
    (network / "config.pbtxt").write_text(config)
    with (network / "1" / "model.onnx").open("wb") as file:
        file.truncate(bytes_)


def repository(folder: Path) -> tuple[Path, Gates]:
    """The models ``ht``, of which the network is a copy; ``gated``; and some that cannot be loaded."""
    models, gates = harmonizing_models(folder), Gates(folder)
    real = (models / "ht").resolve()
    (models / "ht").unlink()
    shutil.copytree(real, models / "ht")
    write_gated(models, gates, "gated")
    write_gated(models, gates, "upper", 'parameters { key: "part.below" value { string_value: "harmonize_gated" } }')
    write_network(models, gates, "huge", 2**40)
    write_network(models, gates, "damaged", 100)
    return models, gates


@contextmanager
def managed(folder: Path, models: Path, *flags: object) -> Iterator[Stack]:
    """Serves them when they are ready."""
    named = ("--model-repository", models, "--probe-interval", 0.5, "--concurrency", "gated=1", *flags)
    with serving(folder, *named) as stack:
        _ = stack.url
        stack.wait_for("Triton is ready")
        wait_until(lambda: httpx.get(f"{stack.url}/readyz", timeout=PATIENCE).is_success)
        yield stack


def harmonize(stack: Stack, model: str, key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{stack.url}/v1/harmonize"
    return httpx.post(url, files=FILES, data={"model": model}, headers=headers, timeout=PATIENCE)


def change(stack: Stack, model: str, verb: str, key: str = "", **parameters: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{stack.url}/v1/models/{model}/{verb}"
    return httpx.post(url, params=parameters, headers=headers, timeout=PATIENCE)


def names(stack: Stack) -> set[str]:
    """The models that can be asked now."""
    told = httpx.get(f"{stack.url}/v1/models", timeout=PATIENCE).json()
    return {each["name"] for each in told["data"]}


def at_work(stack: Stack, model: str) -> tuple[int, int]:
    """Requests to a model that run and that wait, as the metrics say."""
    lines = httpx.get(f"{stack.url}/metrics", timeout=PATIENCE).text.splitlines()
    counts = {line.split()[0]: int(float(line.split()[1])) for line in lines if line and not line.startswith("#")}
    of_model = f'{{model="{model}"}}'
    return counts.get(f"concord_in_flight{of_model}", 0), counts.get(f"concord_queue_depth{of_model}", 0)
