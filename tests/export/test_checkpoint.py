"""Checkpoints as authors publish them are read; anything else is refused with a message and never run."""

import pickle
import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from export import checkpoint
from export.checkpoint import CheckpointError
from export.network import Network
from export.networks import cris, every, ht
from export.networks.cris import R50, R101, CrisConfig
from tests.export import small

# Where several networks name one checkpoint, each takes its half: tests/export/test_tiny_vae.py.
SHARED = {name for name, count in Counter(name for each in every() for name in each.published).items() if count > 1}
PUBLISHED = [
    pytest.param(network, name, id=name)
    for network in every()
    if network.source
    for name in network.published
    if name not in SHARED
]


def trainer_file(path: Path) -> None:
    """CRIS's `best_model.pth`: a trainer's dict around a data-parallel state dict."""
    weights = {f"module.{key}": value for key, value in small.cris().state_dict().items()}
    torch.save(
        {"epoch": 3, "cur_iou": 0.5, "state_dict": weights, "optimizer": {"state": {}, "param_groups": []}}, path
    )


def bare_file(path: Path) -> None:
    torch.save(small.cris().state_dict(), path)


def legacy_file(path: Path) -> None:
    torch.save(small.cris().state_dict(), path, _use_new_zipfile_serialization=False)


def safetensors_file(path: Path) -> None:
    save_file({key: value.contiguous() for key, value in small.cris().state_dict().items()}, path)


@pytest.mark.parametrize(
    ("write", "name"),
    [(trainer_file, "a.pth"), (bare_file, "b.pth"), (legacy_file, "c.pth"), (safetensors_file, "d.safetensors")],
    ids=["trainer", "bare", "legacy", "safetensors"],
)
def test_every_published_layout_gives_the_same_weights(tmp_path: Path, write, name: str) -> None:
    write(tmp_path / name)
    weights = checkpoint.read(tmp_path / name).weights
    expected = small.cris().state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


def test_half_precision_is_read_as_full(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.ones(2).half(), "a.num_batches_tracked": torch.tensor(3)}, tmp_path / "h.pth")
    weights = checkpoint.read(tmp_path / "h.pth").weights
    assert weights["a.weight"].dtype == torch.float32
    assert weights["a.num_batches_tracked"].dtype == torch.int64


def test_a_key_with_and_without_the_trainers_prefix_is_refused(tmp_path: Path) -> None:
    torch.save({"dec.bias": torch.zeros(1), "module.dec.bias": torch.ones(1)}, tmp_path / "twice.pth")
    with pytest.raises(CheckpointError, match=r"twice\.pth: holds both dec\.bias and module\.dec\.bias"):
        checkpoint.read(tmp_path / "twice.pth")


@pytest.mark.parametrize(("network", "name"), PUBLISHED)
def test_a_checkpoint_is_claimed_by_its_own_network_alone(network: Network, name: str) -> None:
    with torch.device("meta"):
        keys = network.published[name]().state_dict()
    assert [other.name for other in every() if other.source and other.source.claims(keys)] == [network.name]


def test_published_sizes_are_assumed_where_a_file_carries_none() -> None:
    r50 = checkpoint.Checkpoint(
        {"backbone.visual.conv1.weight": torch.zeros(1), "proj.txt.weight": torch.zeros(1)}, "", ""
    )
    r101 = checkpoint.Checkpoint(r50.weights | {"backbone.visual.layer3.6.conv1.weight": torch.zeros(1)}, "", "")
    assert cris.NETWORK.source.sizes(r50) == R50
    assert cris.NETWORK.source.sizes(r101) == R101


def test_a_file_of_concord_carries_its_own_sizes(tmp_path: Path) -> None:
    path = small.save_sized(small.cris(), small.CRIS, tmp_path / "cris.safetensors")
    assert cris.NETWORK.source.sizes(checkpoint.read(path)) == small.CRIS != CrisConfig()


@pytest.mark.parametrize("sizes", ["{", "[]", '{"colour": 3}'])
def test_unreadable_sizes_are_an_error(sizes: str) -> None:
    file = checkpoint.Checkpoint({"patch_to_embedding.1.weight": torch.zeros(1)}, sizes, "")
    with pytest.raises(CheckpointError, match="sizes in the file's metadata"):
        ht.NETWORK.source.sizes(file)


def test_a_mismatch_lists_every_key() -> None:
    network = small.harmonizer("ht_plus")
    weights = dict(network.state_dict())
    del weights["dec.0.bias"]
    weights["surplus.weight"] = torch.zeros(1)
    weights["dec.0.weight"] = torch.zeros(16, 3, 2, 2)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(network, weights)
    assert str(caught.value).splitlines()[1:] == [
        "  missing: dec.0.bias",
        "  left over: surplus.weight",
        "  of another shape: dec.0.weight (16, 3, 2, 2) instead of (16, 3, 4, 4)",
    ]


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (witness,))

    for number, protocol in enumerate((2, 4)):
        path = tmp_path / f"hostile{number}.pth"
        path.write_bytes(pickle.dumps({"a": Hostile()}, protocol))
        with pytest.raises(CheckpointError):
            checkpoint.read(path)
    torch.save({"a": Hostile()}, tmp_path / "zipped.pth")
    with pytest.raises(CheckpointError, match="refused"):
        checkpoint.read(tmp_path / "zipped.pth")
    assert not witness.exists()


def test_what_a_trainer_keeps_beside_the_weights_is_not_run_and_does_not_disturb(tmp_path: Path) -> None:
    """PyTorch Lightning's checkpoints name classes of its callbacks, and hold numbers of numpy's."""
    callbacks = ModuleType("pytorch_lightning.callbacks")
    sys.modules |= {"pytorch_lightning": ModuleType("pytorch_lightning"), callbacks.__name__: callbacks}
    callbacks.Checkpoint = type("Checkpoint", (), {"__module__": callbacks.__name__})
    kept = callbacks.Checkpoint()
    kept.best, settings = np.float64(0.5), defaultdict(dict, rate={"start": 0.1})
    try:
        torch.save(
            {
                "callbacks": {callbacks.Checkpoint: {"last": kept}},
                "hyper": settings,
                "state_dict": {"a": torch.ones(2)},
            },
            tmp_path / "last.ckpt",
        )
    finally:
        del sys.modules["pytorch_lightning"], sys.modules[callbacks.__name__]
    assert checkpoint.read(tmp_path / "last.ckpt").weights["a"].tolist() == [1, 1]
    assert "pytorch_lightning" not in sys.modules


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_an_error(tmp_path: Path, suffix: str, share: float) -> None:
    whole = tmp_path / f"whole{suffix}"
    (safetensors_file if suffix == ".safetensors" else bare_file)(whole)
    content = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="cut"):
        checkpoint.read(cut)


@pytest.mark.parametrize("content", [b"not a checkpoint", b"\x80\x02.", b"PK\x03\x04junk", b"\0" * 64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_any_other_file_is_an_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"other{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.read(path)


@pytest.mark.parametrize("value", [{}, {"state_dict": {}}, {"a": 1}, [1, 2], {"state_dict": {"a": "b"}}], ids=str)
def test_a_file_without_a_state_dict_is_an_error(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="no state dict"):
        checkpoint.read(tmp_path / "odd.pth")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoint.read(tmp_path / "nothing.pth")
