"""The command as a user meets it: in a process of its own, by its exit code, its files and its words."""

import os
import signal
import struct
import subprocess
import sys

import pytest

HARMONIZED = b"\x89PNG harmonized\x00"
MASK = b"\x89PNG mask\x00"
REFUSAL = (
    "INVALID_ARGUMENT",
    "in ensemble 'segment_harmonize', [invalid_image] IMAGE: is no image; allowed: JPEG, PNG",
)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "mein Foto ü.jpg"
    path.write_bytes(b"a photograph")
    return path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_harmonize_writes_the_picture_and_says_nothing(concord, kserve, protocol, photo, tmp_path):
    out = tmp_path / "aus gabe ü.png"
    run = concord(
        "harmonize", "--image", photo, "--text", "der Bär", "-o", out, "--url", kserve.url, "--protocol", protocol
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert out.read_bytes() == HARMONIZED
    assert kserve.received == [
        (
            "segment_harmonize_ht",
            {"IMAGE": b"a photograph", "TEXT": "der Bär".encode()},
            ["HARMONIZED", "SCORE", "TRUNCATED"],
        )
    ]


def test_harmonize_writes_the_predicted_mask_where_asked(concord, grpc_kserve, photo, tmp_path):
    out, mask = tmp_path / "out.png", tmp_path / "mask.png"
    run = concord(
        "harmonize", "--image", photo, "--text", "bear", "-o", out, "--mask-output", mask, "--url", grpc_kserve.url
    )
    assert run.returncode == 0
    assert (out.read_bytes(), mask.read_bytes()) == (HARMONIZED, MASK)


def test_harmonize_takes_a_mask(concord, grpc_kserve, photo, tmp_path):
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"mask")
    run = concord("harmonize", "--image", photo, "--mask", mask, "-o", tmp_path / "out.png", "--url", grpc_kserve.url)
    assert run.returncode == 0
    assert grpc_kserve.received == [("harmonize_ht", {"IMAGE": b"a photograph", "MASK": b"mask"}, ["HARMONIZED"])]


def test_segment_writes_the_mask_and_prints_the_score(concord, grpc_kserve, photo, tmp_path):
    out = tmp_path / "mask.png"
    run = concord("segment", "--image", photo, "--text", "bear", "-o", out, "--url", grpc_kserve.url)
    assert (run.returncode, run.stdout, run.stderr) == (0, "score 0.750\n", "")
    assert out.read_bytes() == MASK


def test_models_lists_the_models_of_each_task_with_their_settings(concord, kserve, protocol):
    run = concord("models", "--url", kserve.url, "--protocol", protocol)
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert [line for line in lines if not line.startswith("    ")] == [
        "harmonize: Matches one part of a photograph to the rest; every pixel outside that part stays as it was.",
        "  ht (default): a transformer that answers in one pass",
        "  diffharmony: a diffusion model, step by step",
        "segment: Finds the part of a photograph that a text names.",
        "  cris (default): finds what a text names",
    ]
    assert "    takes image mask, or image text" in lines
    assert "    takes image [mask] [text]" in lines
    assert "    --steps 5: a whole number from 1 to 50; steps of denoising" in lines
    assert "    --refine false: false, true; whether the refinement network follows" in lines


def test_models_lists_all_with_version_and_tensors(concord, kserve, protocol):
    run = concord("models", "--all", "--url", kserve.url, "--protocol", protocol)
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[-3:] == ["segment_harmonize_ht 1", "  in   IMAGE BYTES [-1, 1]", "  out  SCORE FP32 [-1, 1]"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"TRUNCATED": b"\x01"}, "longer than the network reads"),
        ({"SCORE": struct.pack("<f", 0.4)}, "low score (0.40)"),
        ({"SCORE": struct.pack("<f", 0.0)}, "nothing was found for 'bear'"),
    ],
    ids=["truncated", "low", "empty"],
)
def test_what_a_user_should_know_is_said_on_stderr(concord, grpc_kserve, photo, tmp_path, answers, words):
    grpc_kserve.answers |= answers
    out = tmp_path / "out.png"
    run = concord("harmonize", "--image", photo, "--text", "bear", "-o", out, "--url", grpc_kserve.url)
    assert run.returncode == 0
    assert words in run.stderr
    assert out.exists()


def test_the_environment_names_the_server(concord, grpc_kserve, monkeypatch):
    run = subprocess.run(
        [sys.executable, "-m", "concord_client.command", "models"],
        env=os.environ | {"CONCORD_URL": grpc_kserve.url},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0
    assert "segment: " in run.stdout


def test_a_refused_input_is_one_line_and_leaves_no_file(concord, kserve, protocol, photo, tmp_path):
    kserve.script = [REFUSAL]
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    run = concord(
        "harmonize", "--image", photo, "--text", "bear", "-o", out, "--url", kserve.url, "--protocol", protocol
    )
    assert run.returncode == 1
    assert run.stderr == "concord: [invalid_image] IMAGE: is no image; allowed: JPEG, PNG\n"
    assert out.read_bytes() == b"old"
    assert files(tmp_path) == [photo.name, "out.png"]


def test_a_file_that_is_not_there_is_one_line(concord, grpc_kserve, tmp_path):
    run = concord(
        "segment", "--image", tmp_path / "no.jpg", "--text", "x", "-o", tmp_path / "o.png", "--url", grpc_kserve.url
    )
    assert run.returncode == 1
    assert run.stderr == f"concord: {tmp_path}/no.jpg: No such file or directory\n"


@pytest.mark.parametrize("subcommand", ["models", "segment", "harmonize", "folder"])
def test_no_server_is_said_with_what_to_do(concord, closed_url, protocol, photo, tmp_path, subcommand):
    arguments = {
        "models": ["models"],
        "segment": ["segment", "--image", photo, "--text", "bear", "-o", tmp_path / "out.png"],
        "harmonize": ["harmonize", "--image", photo, "--text", "bear", "-o", tmp_path / "out.png"],
        "folder": ["harmonize", "--images", tmp_path, "--text", "bear", "--output-dir", tmp_path / "out"],
    }[subcommand]
    run = concord(*arguments, "--url", closed_url, "--protocol", protocol)
    assert run.returncode == 3
    assert "make serve" in run.stderr
    assert "Traceback" not in run.stderr
    assert files(tmp_path) == [photo.name]


def test_no_answer_in_time_has_the_same_exit_code(concord, grpc_kserve, photo, tmp_path):
    grpc_kserve.script = ["hang"]
    run = concord(
        "segment", "--image", photo, "--text", "x", "-o", tmp_path / "o.png", "--url", grpc_kserve.url, "--timeout", 0.3
    )
    assert (run.returncode, run.stderr) == (3, "concord: no answer within 0.3 s\n")


def test_an_unknown_pipeline_is_the_servers_lack(concord, grpc_kserve, photo, tmp_path):
    grpc_kserve.script = [("NOT_FOUND", "Request for unknown model: 'segment' is not found")]
    run = concord("segment", "--image", photo, "--text", "x", "-o", tmp_path / "o.png", "--url", grpc_kserve.url)
    assert (run.returncode, run.stderr) == (4, "concord: the server has no model named 'segment'\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["harmonize", "--image", "a.jpg", "-o", "out.png"],
        ["harmonize", "--image", "a.jpg", "--text", "x", "--mask", "m.png", "-o", "out.png"],
        ["harmonize", "--image", "a.jpg", "--text", "x", "-o", "out.jpg"],
        ["harmonize", "--image", "a.jpg", "--text", "x", "-o", "missing/out.png"],
        ["harmonize", "--image", "a.jpg", "--text", "x", "--output-dir", "out"],
        ["harmonize", "--image", "a.jpg", "--mask", "m.png", "-o", "out.png", "--mask-output", "m2.png"],
        ["harmonize", "--images", "none/*.jpg", "--text", "x", "--output-dir", "out"],
        ["harmonize", "--images", ".", "--text", "x", "-o", "out.png"],
        ["segment", "--image", "a.png", "--text", "x", "-o", "a.png"],
        ["select", "--image", "a.png", "--points", "1,2,one", "-o", "out.png"],
        ["select", "--image", "out-2.png", "--points", "1,2,1", "-o", "out.png"],
        ["models", "--url", "http://localhost:8000"],
        ["models", "--timeout", "0"],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_wrong_usage_is_exit_code_2_and_writes_nothing(concord, tmp_path, arguments):
    run = concord(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert "error: " in run.stderr
    assert "Traceback" not in run.stderr
    assert files(tmp_path) == []


def test_a_folder_run_reports_the_broken_image_and_does_the_others(concord, kserve, protocol, tmp_path):
    for name in ("a b.jpg", "broken ü.jpg", "子犬.png"):
        (tmp_path / name).write_bytes(name.encode())
    kserve.refused_images = {"broken ü.jpg".encode(): REFUSAL}
    out = tmp_path / "out"
    run = concord(
        *("harmonize", "--images", tmp_path / "*.*", "--text", "bear", "--output-dir", out, "--mask-output", out / "m"),
        *("--url", kserve.url, "--protocol", protocol, "--concurrency", 2),
    )
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "concord: 2 of 3 images done",
        f"concord: {tmp_path}/broken ü.jpg: [invalid_image] IMAGE: is no image; allowed: JPEG, PNG",
    ]
    assert files(out) == ["a b.png", "m/a b.png", "m/子犬.png", "子犬.png"]
    assert (out / "子犬.png").read_bytes() == HARMONIZED


def test_a_folder_run_with_masks_sends_each_its_own(concord, grpc_kserve, tmp_path):
    for stem in "ab":
        (tmp_path / f"{stem}.jpg").write_bytes(stem.encode())
        (tmp_path / f"{stem}_mask.bmp").write_bytes(f"mask {stem}".encode())
    (tmp_path / "b_mask.bmp").unlink()
    run = concord(
        *("harmonize", "--images", "*.jpg", "--masks", "{stem}_mask.bmp", "--output-dir", "out"),
        *("--url", grpc_kserve.url),
        cwd=tmp_path,
    )
    assert run.returncode == 1
    assert [inputs for _, inputs, _ in grpc_kserve.received] == [{"IMAGE": b"a", "MASK": b"mask a"}]
    assert "b.jpg: b_mask.bmp: No such file or directory" in run.stderr
    assert files(tmp_path / "out") == ["a.png"]


def test_a_folder_run_that_succeeds_ends_with_0(concord, grpc_kserve, photo, tmp_path):
    run = concord(
        "harmonize", "--images", tmp_path, "--text", "x", "--output-dir", tmp_path / "out", "--url", grpc_kserve.url
    )
    assert (run.returncode, run.stderr) == (0, "concord: 1 of 1 images done\n")


def test_a_folder_run_waits_for_a_busy_server(concord, grpc_kserve, photo, tmp_path):
    grpc_kserve.script = [("UNAVAILABLE", "Exceeds maximum queue size")] * 5
    run = concord(
        "harmonize", "--images", tmp_path, "--text", "x", "--output-dir", tmp_path / "out", "--url", grpc_kserve.url
    )
    assert run.returncode == 0
    assert len(grpc_kserve.received) == 6


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("subcommand", ["segment", "harmonize", "folder"])
def test_an_interrupted_run_cancels_its_requests_and_leaves_no_half_file(kserve, protocol, photo, sent, subcommand):
    kserve.script = ["hang"] * 3
    folder = photo.parent
    arguments = {
        "segment": ["segment", "--image", photo, "--text", "bear", "-o", folder / "out.png"],
        "harmonize": ["harmonize", "--image", photo, "--text", "bear", "-o", folder / "out.png"],
        "folder": ["harmonize", "--images", folder, "--text", "bear", "--output-dir", folder / "out"],
    }[subcommand]
    command = [sys.executable, "-m", "concord_client.command", *arguments, "--url", kserve.url, "--protocol", protocol]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert kserve.entered.wait(60)
        process.send_signal(sent)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert kserve.left.wait(10)
    assert files(folder) == [photo.name]


def test_grpc_alone_does_not_load_what_http_needs(grpc_kserve):
    program = (
        "import sys; from concord_client import Client\n"
        "assert 'tritonclient' not in sys.modules\n"
        f"Client({grpc_kserve.url!r}).models()\n"
        "print([name for name in ('gevent', 'geventhttpclient', 'aiohttp', 'PIL', 'torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


@pytest.mark.parametrize("verb", ["load", "unload", "reload"])
def test_models_are_managed_at_a_facade_that_is_there(concord, closed_url, verb):
    assert concord(verb, "ht", "--url", f"http://{closed_url}").returncode == 3
    wrong = concord(verb, "ht", "--url", closed_url)
    assert wrong.returncode == 2 and "allowed: such as http://localhost:8080" in wrong.stderr
