"""A bound that stays honest when next to nothing differs: Tango's interval at an effective sample size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mangaops.stats.grouping import Floats
from mangaops.stats.proportions import TangoScore

_FULLY_IMAGINED = 10.0


@dataclass(frozen=True)
class EffectiveScore:
    """Tango's score test on a difference in units of `scale`."""

    score: TangoScore
    scale: float

    def lower(self, confidence: float) -> float:
        """The one-sided lower bound."""
        return self.scale * self.score.lower(confidence)

    def upper(self, confidence: float) -> float:
        """The one-sided upper bound."""
        return self.scale * self.score.upper(confidence)


def effective_score(contributions: Floats, imagined: Floats, scale: float) -> EffectiveScore:
    """Tango's test at the effective number of pairs that these contributions of groups are worth.

    `contributions` add up to the difference; `imagined` has what a group would contribute at most, were it
    discordant in every row; `scale` is the largest difference there can be. The effective number is that
    at which Tango's variance, scale x sum|v| / n, is the clustered one, sum v^2, both taken with an
    imagined group more, discordant in every row, that counts fully up to ten discordant groups and then as
    ten over their (effective) number. So n rests on the worst design effect where nothing is discordant, on
    the measured one where much is, and is the plain number of pairs where every group has one row of equal
    weight and value 0 or 1.

    Source: the effective sample size of Korn and Graubard (1998), Survey Methodology 24:193, put into
    Tango (1998); docs/adr/0031.
    """
    gains = float(contributions[contributions > 0.0].sum())
    losses = -float(contributions[contributions < 0.0].sum())
    scale = max(scale, gains + losses)
    squares = float(np.square(contributions).sum())
    share = min(1.0, _FULLY_IMAGINED / max(1.0, effective_count(contributions)))
    worst, worst_squared = share * float(imagined.mean()), share * float(np.square(imagined).mean())
    pairs = scale * (gains + losses + worst) / (squares + worst_squared)
    return EffectiveScore(TangoScore(gains / scale * pairs, losses / scale * pairs, pairs), scale)


def effective_count(contributions: Floats) -> float:
    """How many equal contributions these are worth: (sum|v|)^2 / sum v^2; 0 where all are zero.

    Source: Kish (1965), Survey Sampling, section 11.7.
    """
    size = float(np.abs(contributions).sum())
    return 0.0 if size == 0.0 else size * size / float(np.square(contributions).sum())
