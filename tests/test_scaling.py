"""The exponents of the benchmark of scaling are those of power laws."""

import numpy as np
import pytest

from bench.measure import middle
from bench.speed.scaling import exponent, slope, upper


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_slope_is_that_of_a_power_law(power: float) -> None:
    sizes = [16, 64, 256, 1024]
    assert slope(sizes, [3e-3 * size**power for size in sizes]) == pytest.approx(power, abs=1e-9)


def test_only_the_upper_half_counts() -> None:
    times = {size: [max(256, size) * 1e-3 * factor for factor in (1.0, 1.3, 0.9)] for size in (64, 128, 256, 512)}
    assert upper(list(times)) == [256, 512]
    assert exponent(times).middle == pytest.approx(1, abs=1e-9)


def test_the_interval_of_a_median_holds_the_median_and_shrinks_with_the_blocks() -> None:
    values = np.random.default_rng(0).normal(size=401)
    few, many = middle(values[:7]), middle(values)
    assert few.low <= few.middle <= few.high
    assert abs(many.middle) < many.high - many.low < few.high - few.low
