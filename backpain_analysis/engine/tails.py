"""Tails of the normal, Student's and the chi-square distribution, of single numbers.

What a pooled effect needs of them is computed here, so that a first result does not wait for
`scipy.special` (a third of the time of a cold start); arrays are scipy's. Sources: Abramowitz &
Stegun 1964, 26.4, 26.5 and 26.7; Press et al. 2007 (Numerical Recipes, 6.2, 6.4).
"""

from __future__ import annotations

import math
from functools import lru_cache

STEPS, EXACT = 100_000, 1e-16
LARGE = 60.0


def t_tail(t: float, df: float) -> float:
    """Probability above `t` of Student's t on `df` degrees, of the normal for infinite ones."""
    if math.isnan(t) or math.isnan(df):
        return math.nan
    if t < 0:
        return 1 - t_tail(-t, df)
    if math.isinf(df):
        return 0.5 * math.erfc(t / math.sqrt(2))
    if math.isinf(t):
        return 0.0
    return 0.5 * _beta(df / 2, t * t / df)


@lru_cache(maxsize=1024)
def t_quantile(tail: float, df: float) -> float:
    """The value that Student's t on `df` degrees exceeds with probability `tail`, below one half.

    Newton's steps from Cornish and Fisher's expansion (26.7.5); from the left of the answer they
    stay there, since the tail is convex. The error after a step is of the order of its square.
    """
    z = _normal_quantile(tail)
    if math.isinf(df):
        return z
    t = z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
    if df < 4:
        t = z
    for _ in range(STEPS):
        step = (t_tail(t, df) - tail) / _t_density(t, df)
        t += step
        if abs(step) <= 1e-9 * t:
            break
    return t


def chi_square_tail(x: float, df: float) -> float:
    """Probability above `x` of chi-square on `df` degrees of freedom."""
    a, half = df / 2, x / 2
    if math.isnan(half):
        return math.nan
    if half <= 0:
        return 1.0
    if math.isinf(half):
        return 0.0
    front = math.exp(a * math.log(half) - half - math.lgamma(a))
    if half < a + 1:
        term = total = 1 / a
        for n in range(1, STEPS):
            term *= half / (a + n)
            total += term
            if term < EXACT * total:
                break
        return 1 - front * total
    return front * _gamma_fraction(a, half)


def _normal_quantile(tail: float) -> float:
    """Halley's steps from a rational approximation (26.2.23)."""
    r = math.sqrt(-2 * math.log(tail))
    z = r - (2.515517 + r * (0.802853 + r * 0.010328)) / (
        1 + r * (1.432788 + r * (0.189269 + r * 0.001308))
    )
    for _ in range(3):
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        step = (0.5 * math.erfc(z / math.sqrt(2)) - tail) / density
        z += step / (1 - z * step / 2)
    return z


def _t_density(t: float, df: float) -> float:
    return (
        _gamma_ratio(df / 2)
        / math.sqrt(df * math.pi)
        * math.exp(-(df + 1) / 2 * math.log1p(t * t / df))
    )


def _gamma_ratio(a: float) -> float:
    """Gamma(a + 1/2) / Gamma(a); by its series where both are large."""
    if a < LARGE:
        return math.exp(math.lgamma(a + 0.5) - math.lgamma(a))
    b = 1 / a
    return math.sqrt(a) * math.exp(-b / 8 + b**3 / 192 - b**5 / 640 + 17 * b**7 / 14336)


def _beta(a: float, odds: float) -> float:
    """The incomplete beta function `I_x(a, 1/2)` at `x = 1 / (1 + odds)`."""
    if odds == 0:
        return 1.0
    x, left = 1 / (1 + odds), odds / (1 + odds)
    front = _gamma_ratio(a) / math.sqrt(math.pi) * math.exp(-a * math.log1p(odds))
    front *= math.sqrt(left)
    if x < (a + 1) / (a + 2.5):
        return front * _beta_fraction(a, 0.5, x) / a
    return 1 - front * _beta_fraction(0.5, a, left) / 0.5


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, STEPS):
        even, ends = m * (b - m) * x, a + 2 * m
        odd = -(a + m) * (a + b + m) * x / (ends * (ends + 1))
        even /= (ends - 1) * ends
        d, c = 1 / (1 + even * d), 1 + even / c
        value *= c * d
        d, c = 1 / (1 + odd * d), 1 + odd / c
        value *= c * d
        if abs(c * d - 1) < EXACT * 4:
            break
    return value


def _gamma_fraction(a: float, x: float) -> float:
    """The continued fraction of the upper incomplete gamma function."""
    b = x + 1 - a
    c, d = math.inf, 1 / b
    value = d
    for n in range(1, STEPS):
        part, b = -n * (n - a), b + 2
        d, c = 1 / (part * d + b), b + part / c
        value *= c * d
        if abs(c * d - 1) < EXACT * 4:
            break
    return value
