"""Intervals, paired tests, sequential tests, power. Pure."""

from mangaops.stats.bounds import Bounded
from mangaops.stats.interval import Interval, Undefined
from mangaops.stats.paired import PairedDifference, paired_difference
from mangaops.stats.power import holm, labels_for_review, rows_to_settle, split_confidence
from mangaops.stats.proportions import TangoScore, clopper_pearson, tango
from mangaops.stats.quantiles import quantile_difference, quantile_interval
from mangaops.stats.sequences import bernoulli_sequence
from mangaops.stats.survey import SurveyEstimate, horvitz_thompson

__all__ = [
    "Bounded",
    "Interval",
    "PairedDifference",
    "SurveyEstimate",
    "TangoScore",
    "Undefined",
    "bernoulli_sequence",
    "clopper_pearson",
    "holm",
    "horvitz_thompson",
    "labels_for_review",
    "paired_difference",
    "quantile_difference",
    "quantile_interval",
    "rows_to_settle",
    "split_confidence",
    "tango",
]
