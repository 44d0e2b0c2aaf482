"""Rank-1 of two who answered the same questions, and how sure it is. All intervals are of 95%."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb, sqrt

Z = 1.959963984540054
"""The standard normal distribution's 97.5% point."""


@dataclass(frozen=True)
class Comparison:
    """A person and the model on the same questions."""

    questions: int
    person: float
    """Rank-1, in [0, 1]."""
    person_interval: tuple[float, float]
    model: float
    model_interval: tuple[float, float]
    difference: float
    """Of the person's rank-1 over the model's, in [−1, 1]."""
    difference_interval: tuple[float, float]
    person_only: int
    """Questions that the person alone answered rightly."""
    model_only: int
    """Questions that the model alone answered rightly."""
    p_value: float
    """Of McNemar's exact test that both are equally good."""

    def to_dict(self) -> dict:
        return asdict(self)


def compare(person: Sequence[bool], model: Sequence[bool]) -> Comparison:
    """Who was right on which question. Raises `ValueError` for no questions or not the same number of both."""
    both, person_only, model_only = (
        sum(pair == wanted for pair in zip(map(bool, person), map(bool, model), strict=True))
        for wanted in ((True, True), (True, False), (False, True))
    )
    count = len(person)
    if not count:
        raise ValueError("no questions, nothing to compare")
    return Comparison(
        questions=count,
        person=(both + person_only) / count,
        person_interval=wilson_interval(both + person_only, count),
        model=(both + model_only) / count,
        model_interval=wilson_interval(both + model_only, count),
        difference=(person_only - model_only) / count,
        difference_interval=paired_difference_interval(both, person_only, model_only, count),
        person_only=person_only,
        model_only=model_only,
        p_value=mcnemar_exact(person_only, model_only),
    )


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Of a proportion: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927) 209–212. Raises `ValueError` without a trial.
    """
    if not 0 <= successes <= count or count < 1:
        raise ValueError(f"{successes} successes of {count} trials have no interval")
    rate = successes / count
    centre = (rate + Z**2 / (2 * count)) / (1 + Z**2 / count)
    reach = Z / (1 + Z**2 / count) * sqrt(rate * (1 - rate) / count + Z**2 / (4 * count**2))
    return (0.0 if successes == 0 else centre - reach, 1.0 if successes == count else centre + reach)


def paired_difference_interval(both: int, first_only: int, second_only: int, count: int) -> tuple[float, float]:
    """Of the difference of two proportions on the same trials: method 10 of R. G. Newcombe, "Improved confidence
    intervals for the difference between binomial proportions based on paired data", Statistics in Medicine 17
    (1998) 2635–2650, which joins the two Wilson intervals. Unlike a bootstrap it has a width where the two never
    differ.
    """
    neither = count - both - first_only - second_only
    first, second = (both + first_only) / count, (both + second_only) / count
    (first_low, first_high), (second_low, second_high) = (
        wilson_interval(both + only, count) for only in (first_only, second_only)
    )
    # The correlation of the two, with the numerator brought towards 0 by count / 2 where it is positive.
    agreement = both * neither - first_only * second_only
    if agreement > 0:
        agreement = max(agreement - count / 2, 0)
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    correlation = agreement / sqrt(margins) if margins else 0.0

    def reach(a: float, b: float) -> float:
        return sqrt(max(0.0, a**2 - 2 * correlation * a * b + b**2))

    difference = first - second
    low = difference - reach(first - first_low, second_high - second)
    return low, difference + reach(first_high - first, second - second_low)


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """Two-sided p-value that of the trials on which the two differ either wins as many: Q. McNemar, "Note on the
    sampling error of the difference between correlated proportions or percentages", Psychometrika 12 (1947)
    153–157, by the binomial distribution instead of its approximation.
    """
    differing = first_only + second_only
    tail = sum(comb(differing, k) for k in range(min(first_only, second_only) + 1))
    return min(1.0, 2 * tail / 2**differing)
