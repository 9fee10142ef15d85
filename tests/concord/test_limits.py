"""Limits come from the environment, and a wrong setting is said by its name."""

import pytest

from concord.errors import ConcordError
from concord.limits import Limits


def test_limits_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONCORD_MAX_PIXELS", raising=False)
    monkeypatch.setenv("CONCORD_MAX_BYTES", "")
    assert Limits.from_environment() == Limits(max_pixels=40_000_000, max_bytes=64 * 2**20)


def test_limits_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_MAX_PIXELS", "1000000")
    monkeypatch.setenv("CONCORD_MAX_BYTES", " 5000 ")
    assert Limits.from_environment() == Limits(max_pixels=1_000_000, max_bytes=5000)


@pytest.mark.parametrize("value", ["many", "0", "-1", "1e6", "200000000", "٣", "9" * 5000])
def test_a_wrong_limit_names_its_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CONCORD_MAX_PIXELS", value)
    with pytest.raises(ConcordError, match="CONCORD_MAX_PIXELS") as caught:
        Limits.from_environment()
    assert len(str(caught.value)) < 200
