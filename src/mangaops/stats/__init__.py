"""Intervals, paired tests, sequential tests, power. Pure."""

from mangaops.stats.bounds import Bounded
from mangaops.stats.interval import Interval, Undefined
from mangaops.stats.paired import PairedDifference, paired_difference
from mangaops.stats.power import holm, labels_for_review, rows_to_settle, split_confidence
from mangaops.stats.proportions import TangoScore, clopper_pearson, tango, wilson

__all__ = [
    "Bounded",
    "Interval",
    "PairedDifference",
    "TangoScore",
    "Undefined",
    "clopper_pearson",
    "holm",
    "labels_for_review",
    "paired_difference",
    "rows_to_settle",
    "split_confidence",
    "tango",
    "wilson",
]
