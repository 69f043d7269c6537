"""Predictions and truth to per-example outcomes, numbers with unit and direction. Pure."""

from mangaops.metrics.metric import Metric, Sides
from mangaops.metrics.scored import Scored
from mangaops.metrics.slices import parts
from mangaops.metrics.summary import summary
from mangaops.metrics.table import METRICS, calibration_gaps

__all__ = ["METRICS", "Metric", "Scored", "Sides", "calibration_gaps", "parts", "summary"]
