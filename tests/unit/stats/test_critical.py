"""The critical values equal scipy's, which is too heavy to import for one number."""

import subprocess
import sys

import pytest
from scipy.special import stdtrit

from evalh.stats.quantiles import t_critical, z_critical


@pytest.mark.parametrize("dof", [*range(1, 140), 1_000, 10_000, 1_000_000])
@pytest.mark.parametrize(("confidence", "error"), [(0.5, 1e-10), (0.9, 1e-10), (0.95, 1e-10), (0.99, 1e-9)])
def test_t_is_scipys(dof: int, confidence: float, error: float) -> None:
    assert t_critical(confidence, dof) == pytest.approx(stdtrit(dof, 0.5 + confidence / 2), rel=error)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99])
def test_z_is_the_limit_of_t(confidence: float) -> None:
    assert z_critical(confidence) == pytest.approx(stdtrit(1e12, 0.5 + confidence / 2), rel=1e-9)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1.5, float("nan")])
def test_a_confidence_outside_0_and_1_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        z_critical(confidence)


def test_t_needs_a_degree_of_freedom() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        t_critical(0.95, 0)


def test_the_summary_of_a_plain_run_imports_no_scipy_numpy_or_statistics() -> None:
    program = (
        "import sys\n"
        "from evalh.stats.clusters import ClusterSum, clustered_rate\n"
        "from evalh.stats.intervals import wilson\n"
        "from evalh.stats.ratio import cost_per_good\n"
        "wilson(18, 20); clustered_rate({ClusterSum(0.5, 1): 3, ClusterSum(1.0, 2): 1}, 2); cost_per_good([1.0, 2.0, 1.5], [1, 1, 0])\n"
        "print([name for name in ('scipy', 'numpy', 'statistics') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
