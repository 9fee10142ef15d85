"""What the report says of a curve, on series whose truth is known."""

import re

import numpy as np
import pytest

from benchmarks.curves.linearity import REST, Curve, departure, describe, fit, full

AT = (0.25, 1, 2, 4, 8, 12, 24)


def noisy(costs: list[float], spread: float = 0.02, times: int = 5) -> list[list[float]]:
    """Measurements around each cost; the same ones each time."""
    random = np.random.default_rng(0)
    return [list(cost * (1 + spread * random.standard_normal(times))) for cost in costs]


def test_the_line_is_found_through_noise() -> None:
    line = fit(AT, noisy([200 + 70 * x for x in AT]))
    assert line.intercept == pytest.approx(200, rel=0.1) and line.slope == pytest.approx(70, rel=0.05)
    assert line.r_squared > 0.99


def test_a_line_does_not_end() -> None:
    for seed_spread in (0.0, 0.02, 0.05):
        assert departure(AT, noisy([200 + 70 * x for x in AT], seed_spread)) is None


def test_a_line_ends_where_all_that_follows_is_off_it_on_one_side() -> None:
    costs = [200 + 70 * x + (60 * (x - 8) if x > 8 else 0) for x in AT]
    found = departure(AT, noisy(costs))
    assert found is not None and AT[found.position] == 12
    assert found.expected == pytest.approx(1040, rel=0.05) and found.measured == pytest.approx(1280, rel=0.05)


def test_one_place_off_the_line_is_noise() -> None:
    costs = [200 + 70 * x for x in AT]
    costs[4] *= 1.5
    assert departure(AT, noisy(costs)) is None
    text = describe(Curve("megapixel", "time", "ms", AT, noisy(costs)))
    assert re.search(r"Off that line by more than 10 %: 1\.5\d times at 8\.", text)


def test_a_curve_that_flattens_leaves_its_line_downwards() -> None:
    found = departure((1, 2, 4, 8, 16), noisy([10, 20, 40, 44, 45]))
    assert found is not None and found.position == 3 and found.measured < found.expected


def test_single_measurements_can_have_a_line_but_no_end_while_two_points_make_it() -> None:
    assert departure((1, 2, 4), [[1.0], [2.0], [40.0]]) is None


def test_a_linear_curve_is_described_by_its_line_and_what_grows() -> None:
    parts = [{"decode": 10 + 5 * x, "compose": 30 * x, "dht": 100.0} for x in AT]
    text = describe(Curve("megapixel", "time", "ms", AT, [[sum(each.values())] * 3 for each in parts], parts))
    assert text == (
        "Time is linear from 0.25 to 24 megapixels: 110 ms and 35.0 for each megapixel (R² 1.000). "
        "Of its growth, 86 % is `compose`."
    )


def test_a_curve_that_is_not_linear_names_the_part_that_took_it_off() -> None:
    parts = [{"decode": 5 * x, "compose": 30 * x + (60 * (x - 8) if x > 8 else 0)} for x in AT]
    text = describe(Curve("megapixel", "time", "ms", AT, [[100 + sum(each.values())] * 3 for each in parts], parts))
    assert text == (
        "Time is linear from 0.25 to 8 megapixels: 100 ms and 35.0 for each megapixel (R² 1.000). "
        "At 12 it is 1.46 times what that line says, 760 ms instead of 520, and stays above it. "
        "Of the 240 ms too many, 240 are `compose`, whose share of the whole goes from 63 % to 79 %."
    )


def test_where_no_line_fits_it_is_said() -> None:
    text = describe(Curve("client", "memory", "MiB", (1, 2, 4, 8), [[300.0], [800.0], [310.0], [790.0]]))
    assert text.startswith("No line fits memory from 1 to 8 clients (R²") and text.endswith(
        "300 MiB at 1 and 790 at 8."
    )


def test_waiting_for_a_model_is_told_from_its_work() -> None:
    parts = [{"dht": 100.0, "waiting for dht": 90.0 * each} for each in (1, 2, 4)]
    text = describe(Curve("client", "time", "ms", (1, 2, 4), [[sum(each.values())] * 3 for each in parts], parts))
    assert "Of its growth, 100 % is waiting for `dht`." in text


def test_what_no_part_had_is_named_too() -> None:
    totals = [[100.0 + 2 * x + (500 if x > 8 else 0)] * 3 for x in AT]
    text = describe(Curve("megapixel", "time", "ms", AT, totals, [{"dht": 100.0} for _ in AT]))
    assert f"500 are {REST}" in text


def test_a_server_is_full_where_more_clients_get_no_more() -> None:
    assert full((1, 2, 4, 8), (5.0, 8.8, 9.0, 8.7)) == 2
    assert full((1, 2, 4, 8), (5.0, 5.1, 5.2, 5.0)) == 1


@pytest.mark.parametrize("costs", [[0.0, 0.0], [0.0, 0.0, 0.0, 5.0, 9.0]], ids=["none", "none at first"])
def test_what_costs_nothing_is_described(costs: list[float]) -> None:
    text = describe(Curve("step", "memory", "MiB", AT[: len(costs)], [[cost] for cost in costs]))
    assert text.startswith(("Memory is linear", "No line fits memory"))
