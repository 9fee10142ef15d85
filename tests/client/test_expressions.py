"""A file of expressions is read line by line, and whatever a line is, the others are read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord_client.expressions import Expressions

GOOD = json.dumps({"image": "d/a.jpg", "text": "the red ball"}).encode()


def test_a_text_is_found_with_the_folders_of_its_image_or_without():
    read = Expressions.parse(b"\xef\xbb\xbf" + GOOD + b"\r\n\n" + b'{"image": "b.jpg", "text": "\xc3\xbc"}')
    assert not read.problems
    assert [read.of(name) for name in ("d/a.jpg", "a.jpg", "d/b.jpg", "c.jpg")] == [
        "the red ball",
        None,
        "\u00fc",
        None,
    ]
    assert read.unmatched({"d/a.jpg"}) == {3: "there is no image 'b.jpg'"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"image": "a", "text": "\xff"}', "not JSON"),
        (b"[]", "not an object"),
        (b'{"image": "a"}', "not an object"),
        (b'{"image": "a", "text": "b", "more": 1}', "not an object"),
        (b'{"image": "a", "text": 1}', "text is no text"),
        (b'{"image": " ", "text": "b"}', "image is no text"),
        (GOOD, "is in line 1 already"),
    ],
)
def test_a_bad_line_is_named_by_its_number(line, problem):
    read = Expressions.parse(b"\n".join([GOOD, line, b'{"image": "b.jpg", "text": "c"}']))
    assert set(read.texts) == {"d/a.jpg", "b.jpg"}
    [(number, words)] = read.problems.items()
    assert number == 2 and problem in words


@given(st.binary())
def test_any_bytes_are_read(content):
    Expressions.parse(content)
