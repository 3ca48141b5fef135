"""The Gaussian process against its textbook twin, and its gradient against finite differences."""

import numpy as np
import pytest

from jobs.mixtures.predictors.gaussian_process import GaussianProcess, _Likelihood


def slow_kernel(left, right, parameters, inverse):
    table = np.empty((len(left), len(right)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            root = np.sqrt(5 * sum(inverse[k] * (a[k] - b[k]) ** 2 for k in range(len(a))) + 1e-12)
            table[i, j] = parameters[0] * (1 + root + root**2 / 3) * np.exp(-root) + parameters[2] * (a @ b) / len(a)
    return table


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(3)
    mixtures = generator.dirichlet(np.ones(3), 25)
    return (
        mixtures,
        np.sin(4 * mixtures[:, 0]) + 0.05 * generator.standard_normal(25),
        generator.dirichlet(np.ones(3), 6),
    )


@pytest.mark.parametrize("transform", ["sqrt", "log"])
@pytest.mark.parametrize("per_domain", [True, False])
def test_the_posterior_is_that_of_the_textbook(data, transform, per_domain):
    mixtures, values, others = data
    fitted = GaussianProcess(transform=transform, per_domain=per_domain).fit(mixtures, values)
    change = np.sqrt if transform == "sqrt" else lambda w: np.log(w + 1e-3)
    points, new = ((change(w) - fitted.centre) / fitted.spread for w in (mixtures, others))
    noise = (fitted.parameters[1] + 1e-6) * np.eye(len(points))
    inverted = np.linalg.inv(slow_kernel(points, points, fitted.parameters, fitted.inverse) + noise)
    across = slow_kernel(new, points, fitted.parameters, fitted.inverse)
    scaled = (values - values.mean()) / values.std()
    covariance = slow_kernel(new, new, fitted.parameters, fitted.inverse) - across @ inverted @ across.T
    mean, deviation = fitted.predict(others)
    joint_mean, joint_covariance = fitted.joint(others)
    np.testing.assert_allclose(mean, across @ inverted @ scaled * values.std() + values.mean(), rtol=1e-6)
    np.testing.assert_allclose(joint_mean, mean, rtol=1e-9)
    np.testing.assert_allclose(joint_covariance, covariance * values.var(), atol=1e-8)
    np.testing.assert_allclose(deviation, np.sqrt(np.diag(joint_covariance)), rtol=1e-3)


@pytest.mark.parametrize("per_domain", [True, False])
def test_the_gradient_is_that_of_finite_differences(data, per_domain):
    points = np.sqrt(data[0]) - np.sqrt(data[0]).mean(axis=0)
    likelihood = _Likelihood(points, (data[1] - data[1].mean()) / data[1].std(), per_domain=per_domain)
    logs = likelihood.start + np.linspace(-0.5, 0.7, len(likelihood.start))
    _, gradient = likelihood.value_and_gradient(logs)
    for number, slope in enumerate(gradient):
        step = np.zeros(len(logs))
        step[number] = 1e-5
        values = [likelihood.value_and_gradient(logs + sign * step)[0] for sign in (1, -1)]
        assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-3, abs=1e-5)


def test_a_domain_that_does_not_matter_gets_a_long_scale():
    generator = np.random.default_rng(8)
    mixtures = generator.dirichlet(np.ones(5), 80)
    fitted = GaussianProcess().fit(mixtures, np.sin(5 * np.sqrt(mixtures[:, 0])))
    assert fitted.inverse[0] > 5 * fitted.inverse[1:].max()


def test_what_is_far_is_less_sure():
    generator = np.random.default_rng(1)
    mixtures = generator.dirichlet([50, 30, 20], 40)
    fitted = GaussianProcess().fit(mixtures, np.sin(6 * mixtures[:, 0]) + 0.01 * generator.standard_normal(40))
    _, deviation = fitted.predict(np.array([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]))
    assert deviation[1] > 3 * deviation[0]
