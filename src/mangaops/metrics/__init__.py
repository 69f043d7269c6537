"""Predictions and truth to per-example outcomes, numbers with unit and direction. Pure."""

from mangaops.metrics.lists import TOP, Change, change, discounted_gain, overlap, rank_biased_overlap
from mangaops.metrics.metric import Metric, Metrics, Sides, View
from mangaops.metrics.ranked import Ranked
from mangaops.metrics.ranking import JudgedShare, judged_share
from mangaops.metrics.reviewed import SHADOW_REVIEW, Reviewed
from mangaops.metrics.scored import Scored
from mangaops.metrics.slices import parts
from mangaops.metrics.summary import summary
from mangaops.metrics.table import METRICS, calibration_gaps

__all__ = [
    "METRICS",
    "SHADOW_REVIEW",
    "TOP",
    "Change",
    "JudgedShare",
    "Metric",
    "Metrics",
    "Ranked",
    "Reviewed",
    "Scored",
    "Sides",
    "View",
    "calibration_gaps",
    "change",
    "discounted_gain",
    "judged_share",
    "overlap",
    "parts",
    "rank_biased_overlap",
    "summary",
]
