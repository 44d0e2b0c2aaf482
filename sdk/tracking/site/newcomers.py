"""How likely somebody is new: the prior for how many people there are.

Two tracklets that look alike are one person, or two of the many who are here. But the question is not only whether
these two are one: whoever is not somebody known must be somebody new, and at a site where thirty people are seen a
thousand times hardly anybody is. So the evidence is held against that of being somebody new, whose weight is the
concentration of a Chinese restaurant process (Ewens, Theoretical Population Biology 3, 1972): it is small where few
people come again and again, and large where everybody passes once.
"""

import numpy as np
from scipy.optimize import brentq  # scipy comes with `trackers`

ONCE = (20.0, 21.0)
"""People and tracklets that are believed to have been seen before there were any: people who pass once."""


def concentration(people: float, tracklets: int) -> float:
    """The parameter a of the process in which so many tracklets are of so many people on average: K = a log(1 + n/a).

    people is at most `tracklets`; what is believed beforehand (`ONCE`) is added to both, so that it is finite.
    """
    believed, seen = people + ONCE[0], tracklets + ONCE[1]
    return float(brentq(lambda a: a * np.log1p(seen / a) - believed, 1e-6, seen**2))
