"""Names of accounts are plain and look like no other's; passwords are long enough and not common."""

import pytest

from facade.accounts.names import LONGEST, likeness, name_of
from facade.accounts.passwords import password_of, plain
from facade.accounts.throttle import site
from facade.problems import Problem


@pytest.mark.parametrize(
    ("given", "name"), [("Ann", "ann"), ("ann.lee-2_x", "ann.lee-2_x"), ("ＡＮＮ", "ann"), ("7up", "7up")]
)
def test_a_name_is_kept_small_and_in_plain_letters(given, name):
    assert name_of(given) == name


@pytest.mark.parametrize(
    "given",
    [
        "",
        "a",
        "a" * (LONGEST + 1),
        "ann\n",
        "an\x00n",
        "an\u200bn",
        "аnn",
        "ann lee",
        ".ann",
        "ann.",
        "a..b",
        "ann@home",
        "安妮",
    ],
    ids=repr,
)
def test_other_names_are_refused_with_what_is_allowed(given):
    with pytest.raises(Problem) as caught:
        name_of(given)
    assert (caught.value.code, caught.value.field) == ("invalid_name", "name")
    assert caught.value.allowed and repr(given) not in str(caught.value)


@pytest.mark.parametrize(
    "pair", [("paul0", "paulo"), ("al1ce", "alice"), ("marn", "mam"), ("vvill", "will"), ("ann.lee", "annlee")], ids=str
)
def test_names_that_look_alike_have_one_likeness(pair):
    assert likeness(pair[0]) == likeness(pair[1])
    assert likeness("ann") != likeness("bob")


@pytest.mark.parametrize(
    "password", ["correct horse", "tr0ub4dor and 3", "安全的密码很长呢对吧", "x9$kQ2!z", "        a b z y"]
)
def test_a_password_needs_no_composition(password):
    assert password_of(password, "ann") == password


@pytest.mark.parametrize(
    "password",
    [
        *[
            "",
            "short",
            "a" * 9,
            "abababab",
            "abcabcabc",
            "12345678",
            "87654321",
            "qwertyuiop",
            "asdfghjkl1234",
            "abcdefgh",
        ],
        *[
            "Password1",
            "P@ssw0rd",
            "password123!",
            "letmein2024",
            "welcome1",
            "iloveyou1",
            "Concord2026",
            "1q2w3e4r"[:8] * 0,
        ],
        *["annalena", "Annalena1", "annalena!!"],
        *["x" * 129, "tabs\tand more", "null\x00byte here"],
    ],
    ids=repr,
)
def test_a_password_that_anybody_would_try_is_refused(password):
    with pytest.raises(Problem) as caught:
        password_of(password, "annalena")
    assert caught.value.code == "weak_password" and caught.value.field == "password" and caught.value.allowed


def test_a_password_is_the_same_from_every_keyboard_and_no_length_costs_more():
    assert plain("ｐａｓｓ") == "pass" and plain("e\u0301") == "\u00e9"
    assert len(plain("x" * 10**6)) < 1000


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_tries_are_counted_by_address_and_of_ipv6_by_network(address, expected):
    assert site(address) == expected
