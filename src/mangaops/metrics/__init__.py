"""Predictions and truth to per-example outcomes, numbers with unit and direction. Pure."""
