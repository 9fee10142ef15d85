"""``concord harmonize --model diffharmony`` as a user meets it."""

import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

HARMONIZED = b"\x89PNG harmonized\x00"
SEED = 2**62 + 1
DIFFHARMONY = ("harmonize", "--model", "diffharmony")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "mein Foto ü.jpg"
    path.write_bytes(b"a photograph")
    return path


@pytest.fixture
def on_terminal():
    """Runs the command with a terminal as its stderr; answers its exit code, stdout and what the terminal showed."""

    def run(*arguments):
        terminal, stderr = pty.openpty()
        termios.tcsetwinsize(stderr, (24, 100))
        command = [sys.executable, "-m", "concord_client.command", *map(str, arguments)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
            os.close(stderr)
            shown = b""
            try:
                while part := os.read(terminal, 4096):
                    shown += part
            except OSError:  # how Linux says that the other side has closed
                pass
            os.close(terminal)
            stdout = process.stdout.read()
        return process.returncode, stdout, shown.decode()

    return run


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_it_writes_the_picture_and_prints_the_seed(concord, kserve, protocol, photo, tmp_path):
    out = tmp_path / "out.png"
    run = concord(
        *(*DIFFHARMONY, "--image", photo, "--text", "bear", "-o", out, "--url", kserve.url, "--protocol", protocol)
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, f"seed {SEED}\n", "")
    assert out.read_bytes() == HARMONIZED
    ((model, inputs, _),) = kserve.received
    assert model == {"grpc": "diffharmony", "http": "diffharmony_once"}[protocol]
    assert 590 < inputs.pop("TIMEOUT") <= 600
    assert 0 <= inputs.pop("SEED") < 2**63
    assert inputs == {"IMAGE": b"a photograph", "TEXT": b"bear"}


def test_its_flags_are_sent(concord, grpc_kserve, photo, tmp_path):
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"mask")
    run = concord(
        *(*DIFFHARMONY, "--image", photo, "--mask", mask, "-o", tmp_path / "out.png", "--url", grpc_kserve.url),
        *("--seed", 7, "--steps", 9, "--sampler", "dpmpp_2m", "--resolution", 768, "--decoder", "harmony", "--refine"),
        *("--timeout", 30),
    )
    assert run.returncode == 0
    inputs = grpc_kserve.received[0][1]
    assert 25 < inputs.pop("TIMEOUT") <= 30
    assert inputs == {
        **{"IMAGE": b"a photograph", "MASK": b"mask", "SEED": 7, "STEPS": 9, "SAMPLER": b"dpmpp_2m"},
        **{"RESOLUTION": 768, "DECODER": b"harmony", "REFINE": True},
    }


def test_a_terminal_shows_the_steps(on_terminal, grpc_kserve, photo, tmp_path):
    arguments = ("--image", photo, "--text", "bear", "-o", tmp_path / "out.png", "--url", grpc_kserve.url)
    returncode, stdout, shown = on_terminal(*DIFFHARMONY, *arguments)
    assert (returncode, stdout) == (0, f"seed {SEED}\n")
    assert "2/2" in shown and "step" in shown


def test_a_terminal_shows_images_and_steps_of_a_folder(on_terminal, grpc_kserve, tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    grpc_kserve.refused_images = {b"b.jpg": ("INVALID_ARGUMENT", "[invalid_image] IMAGE: is no image")}
    returncode, _, shown = on_terminal(
        *(*DIFFHARMONY, "--images", tmp_path, "--text", "bear", "--output-dir", tmp_path / "out"),
        *("--url", grpc_kserve.url),
    )
    assert returncode == 1
    assert "3/3" in shown and "image" in shown
    assert "4/4" in shown and "step" in shown


def test_the_default_model_has_no_bar_of_steps(on_terminal, grpc_kserve, photo, tmp_path):
    arguments = ("--image", photo, "--text", "bear", "-o", tmp_path / "out.png", "--url", grpc_kserve.url)
    assert on_terminal("harmonize", *arguments) == (0, "", "")


def test_a_folder_run_prints_each_seed(concord, kserve, protocol, tmp_path):
    for name in ("a b.jpg", "子犬.png"):
        (tmp_path / name).write_bytes(name.encode())
    out = tmp_path / "out"
    run = concord(
        *(*DIFFHARMONY, "--images", tmp_path / "*.*", "--text", "bear", "--output-dir", out, "--concurrency", 1),
        *("--url", kserve.url, "--protocol", protocol),
    )
    assert (run.returncode, run.stderr) == (0, "concord: 2 of 2 images done\n")
    assert run.stdout.splitlines() == [f"{tmp_path}/{name}: seed {SEED}" for name in ("a b.jpg", "子犬.png")]
    assert files(out) == ["a b.png", "report.json", "子犬.png"]


def test_a_setting_that_the_server_refuses_ends_a_folder_run_at_once(concord, grpc_kserve, tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    grpc_kserve.script = [("INVALID_ARGUMENT", "[invalid_setting] STEPS: is 50; allowed: a whole number from 1 to 40")]
    run = concord(
        *(*DIFFHARMONY, "--images", tmp_path, "--text", "bear", "--output-dir", tmp_path / "out", "--steps", 50),
        *("--url", grpc_kserve.url, "--concurrency", 1),
    )
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "concord: 0 of 3 images done",
        "concord: [invalid_setting] STEPS: is 50; allowed: a whole number from 1 to 40",
    ]
    assert len(grpc_kserve.received) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--steps", "3"],
        ["--seed", "0"],
        ["--refine"],
        ["--model", "ht", "--sampler", "ddim"],
        ["--model", "diffharmony", "--steps", "many"],
        ["--model", "diffharmony", "--steps", "51"],
        ["--model", "diffharmony", "--seed", str(2**63)],
        ["--model", "diffharmony", "--steps"],
        ["--model", "diffharmony", "--typo=3"],
        ["--model", "diffharmony", "--set", "steps"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_and_sends_nothing(concord, grpc_kserve, photo, tmp_path, arguments):
    given = ("--image", photo, "--text", "bear", "-o", tmp_path / "out.png", "--url", grpc_kserve.url)
    run = concord("harmonize", *given, *arguments)
    assert run.returncode == 2
    flag = [word.partition("=")[0] for word in arguments if word.startswith("--")][-1]
    assert f"error: {flag}" in run.stderr
    assert "Traceback" not in run.stderr
    assert grpc_kserve.received == []
    assert files(tmp_path) == [photo.name]


def test_a_setting_is_told_with_the_models_that_have_it(concord, grpc_kserve, photo, tmp_path):
    given = ("--image", photo, "--text", "bear", "-o", tmp_path / "out.png", "--url", grpc_kserve.url)
    run = concord("harmonize", *given, "--steps", 3)
    assert run.stderr.endswith("error: --steps: ht has no such setting; allowed: model=diffharmony\n")


def test_an_unknown_model_is_the_servers_lack(concord, grpc_kserve, photo, tmp_path):
    given = ("--image", photo, "--text", "bear", "-o", tmp_path / "out.png", "--url", grpc_kserve.url)
    run = concord("harmonize", *given, "--model", "nonsense")
    assert (run.returncode, run.stderr) == (
        4,
        "concord: the server has no model named 'nonsense'; it has ht, diffharmony\n",
    )


def test_settings_are_written_in_several_ways(concord, grpc_kserve, photo, tmp_path):
    given = ("--image", photo, "--text", "bear", "-o", tmp_path / "out.png", "--url", grpc_kserve.url)
    run = concord(*DIFFHARMONY, "--refine", *given, "--set", "steps=9", "--seed=3", "--preview", "false")
    assert run.returncode == 0
    sent = {"REFINE": True, "STEPS": 9, "SEED": 3, "PREVIEW": False}
    assert grpc_kserve.received[0][1].items() >= sent.items()


def test_a_name_that_is_not_utf8_is_printed_as_it_is(grpc_kserve, tmp_path):
    photo = os.fsencode(tmp_path) + b"/b\xe4r.jpg"
    Path(os.fsdecode(photo)).write_bytes(b"a photograph")
    command = [sys.executable, "-m", "concord_client.command", *DIFFHARMONY, "--images", photo, "--text", "bear"]
    command += ["--output-dir", tmp_path / "out", "--url", grpc_kserve.url]
    run = subprocess.run(command, capture_output=True)
    assert (run.returncode, run.stdout) == (0, photo + b": seed %d\n" % SEED)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("output", ["-o", "--output-dir"])
def test_an_interrupted_run_cancels_its_streams_and_leaves_no_half_file(grpc_kserve, photo, tmp_path, sent, output):
    grpc_kserve.stream = [0, 1, "hang"]
    source = ("--image", photo) if output == "-o" else ("--images", tmp_path)
    command = [sys.executable, "-m", "concord_client.command", *DIFFHARMONY, *source, "--text", "bear"]
    command += [output, tmp_path / "out.png", "--url", grpc_kserve.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert grpc_kserve.entered.wait(60)
        process.send_signal(sent)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert grpc_kserve.left.wait(10)
    report = ["out.png/report.json"] if output == "--output-dir" else []
    assert files(tmp_path) == [photo.name, *report]
