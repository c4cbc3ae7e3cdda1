"""Several tests at once, single cases."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, false_discovery_control, fisher_exact
from statsmodels.stats.multitest import multipletests

from evalh.stats.multiplicity import benjamini_hochberg, holm
from evalh.stats.paired import fisher_worse, probability_worse

P_VALUES = (0.001, 0.008, 0.012, 0.03, 0.2)


def test_adjusted_p_values_are_the_reference_numbers() -> None:
    assert holm(P_VALUES) == pytest.approx([0.005, 0.032, 0.036, 0.06, 0.2])
    assert benjamini_hochberg(P_VALUES) == pytest.approx([0.005, 0.02, 0.02, 0.0375, 0.2])


def test_adjusted_p_values_keep_the_order_they_came_in_and_agree_with_statsmodels_and_scipy() -> None:
    p_values = np.random.default_rng(2).uniform(0, 0.2, 37).tolist()

    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    assert benjamini_hochberg(p_values) == pytest.approx(false_discovery_control(p_values).tolist())


def test_no_tests_are_adjusted_to_none() -> None:
    assert holm([]) == benjamini_hochberg([]) == []
    with pytest.raises(ValueError, match="p-value"):
        holm([1.2])


def test_fresh_trials_give_the_reference_numbers() -> None:
    assert round(fisher_worse(5, 5, 0, 5), 6) == 0.003968
    assert round(fisher_worse(5, 5, 1, 5), 6) == 0.023810
    assert fisher_worse(3, 3, 0, 3) == 0.05  # three fresh trials can show nothing below


@pytest.mark.parametrize("counts", [(4, 5, 2, 7), (0, 5, 0, 5), (12, 20, 18, 21), (5, 5, 5, 5)])
def test_fisher_agrees_with_scipy(counts) -> None:
    passes, trials, head_passes, head_trials = counts
    table = [[head_passes, head_trials - head_passes], [passes, trials - passes]]

    assert fisher_worse(*counts) == pytest.approx(fisher_exact(table, alternative="less").pvalue)


def test_the_shown_probability_gives_the_reference_numbers() -> None:
    assert round(probability_worse(5, 5, 1, 5), 6) == 0.997124
    assert round(probability_worse(5, 5, 4, 5), 6) == 0.834602


@pytest.mark.parametrize("counts", [(0, 5, 0, 5), (0, 0, 0, 0), (3, 5, 4, 9), (900, 1000, 870, 1000)])
def test_the_shown_probability_agrees_with_an_integral(counts) -> None:
    passes, trials, head_passes, head_trials = counts
    base = beta(passes + 0.5, trials - passes + 0.5)
    head = beta(head_passes + 0.5, head_trials - head_passes + 0.5)

    integral, _ = quad(lambda u: head.cdf(base.ppf(u)), 0, 1, limit=400)

    assert probability_worse(*counts) == pytest.approx(integral, abs=1e-5)
