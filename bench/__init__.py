"""Benches: tables with ratios to a named baseline of the same run; `python -m bench`."""
