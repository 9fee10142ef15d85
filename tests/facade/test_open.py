"""Nobody is let in by mistake: by keys that are none, or by an address that others reach."""

import os
import signal
import subprocess

import httpx
import psutil
import pytest

from facade.access.key_file import KeyFile
from facade.access.keys import Keys, hash_of
from facade.settings import Settings, SettingsError
from tests.facade.running import PATIENCE
from tests.serving.stack import harmonizing_models, serving

NOWHERE = "127.0.0.1:9"
KEY = "concord-key-of-ann"


def refusal(tmp_path, *flags: object) -> str:
    """What ``concord serve`` says that does not begin to serve."""
    with serving(tmp_path, "--triton-url", NOWHERE, *flags) as stack:
        said = stack.process.stderr.read()
        assert stack.process.wait(PATIENCE) == 2 and "the facade is at" not in said
        return said


@pytest.mark.parametrize("lines", ["", "# ann was here\n\n"], ids=["empty", "comments_only"])
def test_a_file_without_a_key_lets_nobody_in(tmp_path, lines):
    hashes = tmp_path / "hashes"
    hashes.write_text(lines)
    assert "--api-keys-file (CONCORD_API_KEYS_FILE)" in refusal(tmp_path, "--api-keys-file", hashes)


def test_keys_that_are_none_let_nobody_in(tmp_path):
    assert "--api-keys (CONCORD_API_KEYS): there is no key in it" in refusal(tmp_path, "--api-keys", ",")


@pytest.mark.parametrize("given", [",", " ", " , "])
def test_a_variable_without_a_key_lets_nobody_in(given):
    with pytest.raises(SettingsError, match=r"CONCORD_API_KEYS.* no key in it"):
        Keys(Settings(api_keys=given))


def test_an_address_that_others_reach_is_not_served_without_keys(tmp_path):
    said = refusal(tmp_path, "--host", "0.0.0.0")
    assert "0.0.0.0 is not loopback, and there are no keys" in said and "--open" in said


@pytest.mark.parametrize("flags", [("--open",), ("--api-keys", KEY)], ids=["open", "keys"])
def test_it_is_served_openly_or_with_keys(tmp_path, flags):
    with serving(tmp_path, "--triton-url", NOWHERE, "--host", "0.0.0.0", *flags) as stack:
        url = stack.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/healthz", timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_what_is_not_surely_loopback_needs_keys(host):
    with pytest.raises(SettingsError, match="is not loopback"):
        Keys(Settings(host=host))
    assert not Keys(Settings(host=host, open=True)) and Keys(Settings(host=host, api_keys=KEY))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_none(host):
    assert not Keys(Settings(host=host))


def test_keys_may_come_through_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"echo ann {hash_of(KEY)} > {pipe}"]):
        keys = KeyFile(pipe, Keys(Settings()).everyone)
    assert keys.hashes() == keys.hashes() == {"ann": hash_of(KEY)}


def test_triton_and_its_models_are_told_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("CONCORD_API_KEYS", KEY)
    with serving(tmp_path, "--model-repository", harmonizing_models(tmp_path)) as stack:
        stack.wait_for("ready")
        processes = stack.descendants()
        assert {"tritonserver", "triton_python_backend_stub"} <= {each.name() for each in processes}
        for process in processes:
            assert KEY not in str(process.environ())
        stack.process.send_signal(signal.SIGTERM)
        psutil.wait_procs(processes, PATIENCE)
