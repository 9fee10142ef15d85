"""Distances along the paths on which colour changes least."""

import numpy as np

from concord.geodesic import geodesic_distance


def test_on_one_colour_it_is_the_number_of_steps():
    start = np.zeros((5, 7), bool)
    start[2, 3] = True
    rows, columns = np.indices(start.shape)
    distance = geodesic_distance(np.zeros((5, 7, 3), np.float32), start, step=0.5)
    np.testing.assert_allclose(distance, 0.5 * (abs(rows - 2) + abs(columns - 3)), atol=1e-5)


def test_it_goes_around_a_wall_through_its_gap():
    colours = np.zeros((9, 9, 1), np.float32)
    colours[:8, 4] = 100
    start = np.zeros((9, 9), bool)
    start[0, 0] = True
    distance = geodesic_distance(colours, start, step=1)
    assert distance[0, 8] == 8 + 16  # down to the gap and up again
    assert distance[0, 4] == 104


def test_across_an_edge_it_is_as_far_as_colours_differ():
    colours = np.zeros((4, 6, 3), np.float32)
    colours[:, 3:] = (3, 4, 0)
    start = np.zeros((4, 6), bool)
    start[:, 0] = True
    distance = geodesic_distance(colours, start, step=0.001)
    np.testing.assert_allclose(distance[:, 2], 0.002, atol=1e-5)
    np.testing.assert_allclose(distance[:, 3], 5.003, atol=1e-5)
