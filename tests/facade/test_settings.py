"""Every setting is a flag, a variable, a line of --help and a row of docs/settings.md; errors name the wrong one."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from concord.limits import Limits
from facade.settings import Settings, SettingsError, add_arguments, from_arguments, rows, table

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in rows():
        monkeypatch.delenv(row.variable, raising=False)


def settings_of(*flags: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return from_arguments(parser.parse_args(flags))


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    marked = re.search(r"<!-- settings: begin -->\n(.*?)<!-- settings: end -->", PAGE.read_text(), re.DOTALL)
    assert marked is not None and marked[1] == table()


def test_the_module_prints_the_table() -> None:
    printed = subprocess.run([sys.executable, "-m", "facade.settings"], capture_output=True, text=True, check=True)
    assert printed.stdout == table()


def test_the_help_has_a_line_for_every_setting() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    text = " ".join(parser.format_help().split())
    assert len(rows()) == len(Settings.model_fields)
    for row in rows():
        assert row.flag in text and f"[{row.variable}; default" in text and row.description[:40] in text


VALUES = {
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("81", 81),
    "page": ("false", False),
    "origins": ("https://Concord.example, http://box:8080", ("https://concord.example", "http://box:8080")),
    "triton_url": ("elsewhere:8001", "elsewhere:8001"),
    "grpc_port": ("83", 83),
    "metrics_port": ("84", 84),
    "triton_http": ("true", True),
    "http_port": ("82", 82),
    "model_repository": ("models", (Path("models"),)),
    "model_config_name": ("cuda", "cuda"),
    "load": ("one, other", ("one", "other")),
    "log_file": ("triton.log", Path("triton.log")),
    "log_level": ("debug", "debug"),
    "otlp_endpoint": ("http://collector:4318/", "http://collector:4318"),
    "max_bytes": ("1000", 1000),
    "max_pixels": ("2000", 2000),
    "max_held_bytes": ("3000000", 3_000_000),
    "max_batch_images": ("5", 5),
    "max_batch_bytes": ("6000", 6000),
    "batch_deadline": ("7.5", 7.5),
    "read_timeout": ("1.5", 1.5),
    "least_read_rate": ("7000", 7000),
    "concurrency": ("one=3, other=1", {"one": 3, "other": 1}),
    "queue": ("0", 0),
    "deadline": ("one=6,other=7", {"one": 6.0, "other": 7.0}),
    "probe_interval": ("0.5", 0.5),
    "drain_seconds": ("9", 9.0),
    "api_keys": ("a,b", "a,b"),
    "api_keys_file": ("keys", Path("keys")),
    "manage": ("true", True),
    "open": ("true", True),
    "rate_limit": ("5/second", "5/second"),
    "rates": ("rediss://:secret@box:6380/1", "rediss://:secret@box:6380/1"),
    "pictures": ("500", 500),
    "accounts": ("invitation", "invitation"),
    "history_days": ("7", 7),
    "history_bytes": ("1000", 1000),
    "history_folder": ("results", Path("results")),
    "proxies": ("10.0.0.0/8, 127.0.0.1", ("10.0.0.0/8", "127.0.0.1")),
    "refused_agents": ("Robot, wget", ("robot", "wget")),
    "store": ("mariadb://ann:secret@box:3307/concord", "mariadb://ann:secret@box:3307/concord"),
}


def plain(value: object) -> object:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_taken_from_its_flag_and_from_its_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    row = next(row for row in rows() if row.name == name)
    text, value = VALUES[name]
    switches = {"page": "--no-page", "triton_http": "--triton-http", "manage": "--manage", "open": "--open"}
    flags = [switches[name]] if name in switches else [row.flag, text]
    assert plain(getattr(settings_of(*flags), name)) == value
    monkeypatch.setenv(row.variable, text)
    assert plain(getattr(settings_of(), name)) == value


def test_a_flag_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_PORT", "1")
    assert settings_of("--port", "2").port == 2


def test_an_empty_variable_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_PORT", "")
    assert settings_of().port == Settings.model_fields["port"].default


def test_folders_come_from_repeated_flags_or_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = (Path("one"), Path("two"))
    assert settings_of("--model-repository", "one", "--model-repository", "two").model_repositories == folders
    monkeypatch.setenv("CONCORD_MODEL_REPOSITORY", "one:two")
    assert settings_of().model_repositories == folders


def test_the_limits_are_those_of_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits(settings_of().max_pixels, settings_of().max_bytes) == Limits()
    monkeypatch.setenv("CONCORD_MAX_PIXELS", "1000")
    monkeypatch.setenv("CONCORD_MAX_BYTES", "2000")
    assert Limits(settings_of().max_pixels, settings_of().max_bytes) == Limits.from_environment()


@pytest.mark.parametrize(
    ("flag", "wrong"),
    [
        ("--port", "many"),
        ("--port", "65536"),
        ("--queue", "-1"),
        ("--deadline", "60"),
        ("--deadline", "one=0"),
        ("--deadline", "one=inf"),
        ("--deadline", "one=nan"),
        ("--max-pixels", "200000000"),
        ("--concurrency", "one"),
        ("--concurrency", "one=none"),
        ("--concurrency", "=4"),
        ("--rate-limit", "often"),
        ("--rates", "box:6379"),
        ("--rates", "http://box:6379"),
        ("--rates", "redis://"),
        ("--rates", "redis://:secret@"),
        ("--rates", "redis://box:port"),
        ("--rates", "redis://box:65536"),
        ("--rates", "redis://box/first"),
        ("--rates", "redis://box?db=1"),
        ("--rates", "redis://[half"),
        ("--pictures", "0"),
        ("--accounts", "everybody"),
        ("--proxies", "proxy.example"),
        ("--store", "store.db"),
        ("--store", "oracle://box/concord"),
        ("--store", "postgresql:///concord"),
        ("--store", "postgresql://box"),
        ("--store", "postgresql://box:port/concord"),
        ("--store", "postgresql://box/concord?ssl=1"),
        ("--store", "sqlite://"),
        ("--store", "sqlite:///"),
        ("--store", "sqlite://box/store.db"),
        ("--log-level", "loud"),
        ("--triton-url", "http://elsewhere/path"),
        ("--origins", "concord.example"),
        ("--origins", "https://concord.example/page"),
        ("--origins", "https://one.example,ftp://two.example"),
        ("--origins", "https://[half"),
    ],
)
def test_a_wrong_value_is_said_by_its_flag_and_variable(flag: str, wrong: str) -> None:
    variable = "CONCORD_" + flag[2:].upper().replace("-", "_")
    with pytest.raises(SettingsError) as caught:
        settings_of(flag, wrong)
    assert flag in str(caught.value) and variable in str(caught.value)


def test_what_is_shown_holds_every_setting_and_no_key() -> None:
    shown = settings_of("--api-keys", "very-secret").shown()
    assert shown.keys() == Settings.model_fields.keys()
    assert "very-secret" not in json.dumps(shown) and shown["api_keys"] == "**********"
    assert settings_of().shown()["api_keys"] == ""


def test_the_address_of_a_store_is_not_shown_and_not_said_where_it_is_wrong() -> None:
    assert "very-secret" not in json.dumps(settings_of("--rates", "redis://:very-secret@box").shown())
    assert "very-secret" not in json.dumps(settings_of("--store", "mysql://ann:very-secret@box/concord").shown())
    for flag, wrong in (("--rates", "redis://:very-secret@box/path"), ("--store", "mysql://ann:very-secret@box")):
        with pytest.raises(SettingsError) as caught:
            settings_of(flag, wrong)
        assert "very-secret" not in str(caught.value)


def test_a_wrong_setting_does_not_show_its_value_where_it_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_API_KEYS", "very-secret")
    with pytest.raises(SettingsError) as caught:
        settings_of("--port", "x")
    assert "very-secret" not in str(caught.value)
