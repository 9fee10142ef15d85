"""The exported networks give the published answers, and a file that disagrees is reported."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from export import golden
from export.__main__ import main
from export.network import NotPublished
from export.networks import every, harmony_transformer
from export.networks.harmony_transformer import HarmonyTransformerConfig
from tests.commands import run

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "tests" / "published"
GOLDEN = (network.golden for network in every() if not isinstance(network.golden, NotPublished))
NAMES = list(dict.fromkeys(name for names in GOLDEN for name in names))
RULE = """
import math
import zlib
import numpy as np

def state_dict(shapes, seed):
    return {key: draw(key, shape, seed) for key, shape in shapes.items()}

def draw(key, shape, seed):
    noise = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())])).standard_normal(shape)
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
    return np.asarray((len(shape) == 1 and "norm" in key and key.endswith("weight")) + noise / fan_in**0.5, np.float32)

def picture(seed):
    return np.random.default_rng(seed).random((1, 3, 256, 256), np.float32)

def disc(seed):
    return (np.hypot(*np.mgrid[-128:128, -128:128]) < 60 + seed).astype(np.float32)[None, None]
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_network_gives_the_published_answer(name: str, capsys) -> None:
    assert golden.compare(PUBLISHED / "weights.py", [PUBLISHED / "golden" / f"{name}.npz"], exported=False) == 0
    assert capsys.readouterr().out.startswith(f"ok   {name}.npz: largest difference ")


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_the_exported_network_gives_the_published_answer(name: str) -> None:
    rule, file = PUBLISHED / "weights.py", PUBLISHED / "golden" / f"{name}.npz"
    finished = run(main, "golden", "--rule", rule, file)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.startswith(f"ok   {name}.npz: largest difference ")


@pytest.fixture(scope="module")
def rule(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rule") / "rule.py"
    path.write_text(RULE)
    return path


@pytest.fixture(scope="module")
def right(rule: Path) -> dict[str, np.ndarray]:
    """What a golden file of HT+ holds, made for another seed by the rule."""
    seed, rules = 7, golden.load_rule(rule)
    network = harmony_transformer.build(HarmonyTransformerConfig("ht_plus", layers=9)).eval()
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    weights = rules.state_dict(shapes, seed)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    inputs = {"comp": f"picture({seed})", "mask": f"disc({seed})"}
    values = {name: eval(expression, vars(rules)) for name, expression in inputs.items()}
    with torch.no_grad():
        answer = network(*(torch.from_numpy(value) for value in values.values())).numpy()
    checksum = 0
    for value in weights.values():
        checksum = zlib.crc32(value.tobytes(), checksum)
    meta = {
        "model": "ht_plus",
        "seed": seed,
        "weights_crc32": f"{checksum:08x}",
        "inputs": {
            name: {"expression": expression, "crc32": f"{zlib.crc32(values[name].tobytes()):08x}"}
            for name, expression in inputs.items()
        },
        "outputs": {"output": {"shape": [1, 3, 256, 256], "steps": "1,1,3,3", "tolerance": 5e-5}},
        "taps": {},
    }
    keys = [f"{key} {'x'.join(map(str, shape)) or 'scalar'}" for key, shape in shapes.items()]
    return {"meta": np.array(json.dumps(meta)), "keys": np.array(keys), "out/output": answer[:, :, ::3, ::3]}


def saved(folder: Path, content: dict[str, np.ndarray]) -> Path:
    path = folder / "seed7.npz"
    np.savez(path, **content)
    return path


def test_a_file_with_another_rule_and_seed_is_checked_by_its_own_description(rule, right, tmp_path, capsys) -> None:
    assert golden.compare(rule, [saved(tmp_path, right)], exported=False) == 0
    assert capsys.readouterr().out.startswith("ok   seed7.npz")


def test_a_wrong_answer_fails(rule, right, tmp_path, capsys) -> None:
    wrong = saved(tmp_path, right | {"out/output": right["out/output"] + np.float32(1e-3)})
    assert golden.compare(rule, [wrong], exported=False) == 1
    assert capsys.readouterr().out.startswith("FAIL seed7.npz: largest difference 1.0")


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('touch {owned}')",
        "open('{owned}', 'w')",
        "picture.__globals__['math'].__loader__",
        "np.save('{owned}', picture(1))",
        "[x for x in ().__class__.__base__.__subclasses__()]",
        "(lambda: picture(1))()",
        "math.prod([1])",
        "f'{{picture(1)}}'",
        "picture(1) if 1 else 2",
        "picture(",
        "picture(1)\0",
    ],
)
def test_an_expression_of_a_file_runs_no_code_of_its_own(rule, right, tmp_path, capsys, expression: str) -> None:
    owned = tmp_path / "owned.npy"
    meta = json.loads(str(right["meta"]))
    meta["inputs"]["mask"]["expression"] = expression.format(owned=owned)
    assert golden.compare(rule, [saved(tmp_path, right | {"meta": np.array(json.dumps(meta))})], exported=False) == 1
    assert capsys.readouterr().out.startswith("FAIL seed7.npz: ") and not owned.exists()


def test_a_file_that_is_no_golden_file_is_reported_and_the_rest_still_checked(rule, right, tmp_path, capsys) -> None:
    path = saved(tmp_path, right)
    (tmp_path / "broken.npz").write_bytes(path.read_bytes()[:1000])
    assert golden.compare(rule, [tmp_path / "broken.npz", path], exported=False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAIL broken.npz: not a golden file") and lines[1].startswith("ok   seed7.npz")
