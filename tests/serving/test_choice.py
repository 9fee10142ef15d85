"""The profile that is served where nobody asked for one: the fastest that is known to answer well."""

import json
import shutil
from pathlib import Path

import pytest
from onnxruntime import get_available_providers

from concord import judged, processor
from concord.errors import ServerFailure
from concord.instruments.started_server import served_config
from concord.judged import Judged
from concord.server import emulation
from concord.server.choice import AUTO, choose
from concord.server.embedded import EmbeddedServer, Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import TUNED, variants
from concord_client.command import main
from tests.commands import run
from tests.serving.asking import ask
from tests.serving.pictures import encoded, middle, photograph
from tests.serving.stack import harmonizing_models

MODEL = "ht"
KIND = processor.kinds()[0]
REQUEST = {"IMAGE": encoded(photograph(64, 48)), "MASK": encoded(middle(64, 48))}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One network of which nothing is known yet, on a machine whose small types are fast."""
    shutil.copytree(MODEL_REPOSITORIES[0] / MODEL, tmp_path / "models" / MODEL)
    folder = tmp_path / "models" / MODEL
    (folder / "1" / judged.FILE).unlink(missing_ok=True)
    for path in folder.glob("configs/tuned.*"):
        path.unlink()
    monkeypatch.setattr(emulation, "problem", lambda: "")
    return tmp_path / "models"


def judge(repository: Path, profile: str, *, time: float, snr: float = 90.0) -> None:
    judged.write(variants([repository])[MODEL][profile], KIND, Judged(snr, 30.0, time))


def profile(repository: Path, asked: str = AUTO) -> str:
    chosen = choose([repository], asked).variants
    return chosen[MODEL].profile if MODEL in chosen else "default"


def test_a_network_of_which_nothing_is_known_keeps_its_default(repository: Path) -> None:
    assert profile(repository) == "default"


def test_the_fastest_that_passed_is_chosen(repository: Path) -> None:
    judge(repository, "openvino", time=0.7)
    judge(repository, "bf16", time=0.4)
    assert profile(repository) == "bf16"
    assert choose([repository], AUTO).words == f"profile auto on {' and '.join(processor.here())}: bf16 for {MODEL}"


def test_what_failed_is_not_chosen_however_fast(repository: Path) -> None:
    judge(repository, "openvino", time=0.7)
    judge(repository, "bf16", time=0.1, snr=20.0)
    assert profile(repository) == "openvino"


def test_what_is_slower_than_the_default_is_not_chosen(repository: Path) -> None:
    judge(repository, "openvino", time=1.2)
    assert profile(repository) == "default"


def test_small_types_are_not_chosen_where_they_are_emulated(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(repository, "bf16", time=0.4)
    judge(repository, "openvino", time=0.7)
    monkeypatch.setattr(emulation, "problem", lambda: "no small types here")
    assert profile(repository) == "openvino"
    assert "no small types here" in choose([repository], AUTO).words


def test_what_cannot_run_here_is_not_chosen(repository: Path) -> None:
    judge(repository, "cuda", time=0.1)
    judge(repository, "openvino", time=0.7)
    assert profile(repository) == ("cuda" if "CUDAExecutionProvider" in get_available_providers() else "openvino")


def tune(repository: Path, processor_name: str) -> None:
    configs = repository / MODEL / "configs"
    shutil.copy(configs / "openvino.pbtxt", configs / f"{TUNED}.pbtxt")
    (configs / f"{TUNED}.json").write_text(json.dumps({"machine": {"processor": processor_name}}))


def test_the_choice_of_tune_wins(repository: Path) -> None:
    judge(repository, "bf16", time=0.4)
    tune(repository, processor.name())
    assert profile(repository) == TUNED


def test_a_choice_that_another_processor_was_tuned_for_does_not_count(repository: Path) -> None:
    judge(repository, "bf16", time=0.4)
    tune(repository, "of another make")
    assert profile(repository) == "bf16"


def test_a_network_without_a_form_for_a_profile_keeps_its_default_and_that_is_said(repository: Path) -> None:
    shutil.copytree(MODEL_REPOSITORIES[0] / "latent_preview", repository / "latent_preview")
    choice = choose([repository], "bf16")
    assert list(choice.variants) == [MODEL]
    assert choice.words == "profile bf16; without a form for it, in their default: latent_preview"


def test_a_profile_that_no_network_has_a_form_for_is_refused_with_those_there_are(repository: Path) -> None:
    with pytest.raises(ServerFailure, match="no network has a form for 'int8'") as failure:
        choose([repository], "int8")
    assert failure.value.allowed == "auto, bf16, cuda, default, openvino"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "concord" / "products.json"


@pytest.mark.skipif(not {"amx", "avx512_bf16"} & set(processor.kinds()), reason="the processor has no BF16")
def test_a_processor_that_emulates_its_small_types_is_found_out(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert emulation.problem() == ""
    # What is known of the processor as it was does not count any more.
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI")
    assert "slow on this machine" in emulation.problem()


def test_what_another_version_found_out_is_not_trusted(cache: Path) -> None:
    first = emulation.problem()
    found = json.loads(cache.read_text())
    cache.write_text(json.dumps(found | {"identity": "another", "fp32_over_bf16": 99}))
    assert emulation.problem() == first
    assert json.loads(cache.read_text())["identity"] == found["identity"]


def test_a_cache_that_cannot_be_written_keeps_nobody_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    emulation.problem()


def test_a_server_serves_its_choice_and_tells_people(repository: Path, tmp_path: Path) -> None:
    judge(repository, "openvino", time=0.7)
    models = harmonizing_models(tmp_path / "served")
    (models / MODEL).unlink()
    (models / MODEL).symlink_to(repository / MODEL)
    with EmbeddedServer([models], ports=Ports(0, 0, 0), model_config_name=AUTO) as server:
        assert served_config(server.grpc_url, MODEL)["backend"] == "openvino"
        assert ask(server, "harmonize_ht", REQUEST)
        said = run(main, "models", "--url", server.grpc_url).stdout
    assert f"    serves {MODEL} in openvino\n" in said
