"""Intervals, paired tests, sequential tests, power. Pure."""
