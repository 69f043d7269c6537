"""A bound that stays honest when next to nothing differs: Tango's interval at an effective sample size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mangaops.stats.grouping import Floats
from mangaops.stats.interval import check_confidence, normal_quantile
from mangaops.stats.proportions import TangoScore

_FULLY_IMAGINED = 10.0


@dataclass(frozen=True)
class EffectiveScore:
    """Tango's score test on a difference in units of `scale`, whose variance has `degrees` of freedom."""

    score: TangoScore
    scale: float
    degrees: float = math.inf

    def lower(self, confidence: float) -> float:
        """The one-sided lower bound."""
        return self.scale * self.score.lower_at(self._quantile(confidence))

    def upper(self, confidence: float) -> float:
        """The one-sided upper bound."""
        return self.scale * self.score.upper_at(self._quantile(confidence))

    def _quantile(self, confidence: float) -> float:
        """Student's, which is the normal one where the degrees of freedom are infinite."""
        if math.isinf(self.degrees) or confidence == 0.5:
            return normal_quantile(confidence)
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, check_confidence(confidence)))


def effective_score(contributions: Floats, imagined: Floats, scale: float) -> EffectiveScore:
    """Tango's test at the effective number of pairs that these contributions of groups are worth.

    `contributions` add up to the difference; `imagined` has what a group would contribute at most, were it
    discordant in every row; `scale` is the largest difference there can be. The effective number is that
    at which Tango's variance, scale x sum|v| / n, is the clustered one, sum v^2, both taken with an
    imagined group more, discordant in every row, that counts fully up to ten discordant groups and then as
    ten over their (effective) number. So n rests on the worst design effect where nothing is discordant, on
    the measured one where much is, and is the plain number of pairs where every group has one row of equal
    weight and value 0 or 1. A few large groups leave sum v^2 uncertain, which Student's quantiles answer for
    (see variance_degrees).

    Source: the effective sample size of Korn and Graubard (1998), Survey Methodology 24:193, put into
    Tango (1998); docs/adr/0031 and 0069.
    """
    gains = float(contributions[contributions > 0.0].sum())
    losses = -float(contributions[contributions < 0.0].sum())
    scale = max(scale, gains + losses)
    squares = float(np.square(contributions).sum())
    share = min(1.0, _FULLY_IMAGINED / max(1.0, effective_count(contributions)))
    worst, worst_squared = share * float(imagined.mean()), share * float(np.square(imagined).mean())
    pairs = scale * (gains + losses + worst) / (squares + worst_squared)
    tango = TangoScore(gains / scale * pairs, losses / scale * pairs, pairs)
    return EffectiveScore(tango, scale, variance_degrees(contributions))


def variance_degrees(contributions: Floats) -> float:
    """The degrees of freedom of sum v^2 over the groups that contribute; infinite where all are equal.

    The number of these groups is taken as given (Tango's test answers for it), so what is uncertain is how
    large they are: 2 (sum v^2)^2 / (sum v^4 - (sum v^2)^2 / groups).

    Source: Satterthwaite (1946), Biometrics Bulletin 2:110, equation 17, by moments; docs/adr/0069.
    """
    squares = np.square(contributions[contributions != 0.0])
    if squares.size < 2:
        return math.inf
    total = float(squares.sum())
    spread = float(np.square(squares / total - 1.0 / squares.size).sum())
    return 2.0 / spread if spread > 1e-12 else math.inf


def effective_count(contributions: Floats) -> float:
    """How many equal contributions these are worth: (sum|v|)^2 / sum v^2; 0 where all are zero.

    Source: Kish (1965), Survey Sampling, section 11.7.
    """
    size = float(np.abs(contributions).sum())
    return 0.0 if size == 0.0 else size * size / float(np.square(contributions).sum())
