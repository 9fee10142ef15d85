"""Which answer a request gets."""

import pytest

from facade.wire.replies import wants_json


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("", False),
        ("*/*", False),
        ("image/png", False),
        ("application/json", True),
        ("application/json, text/plain, */*", True),
        ("Application/JSON; charset=utf-8", True),
        ("image/avif,image/webp,*/*,application/json", False),
        ("text/html", False),
    ],
)
def test_json_is_for_those_who_ask_for_it(accept, json):
    assert wants_json(accept) is json
