"""Logs in, validated, leak-free, grouped splits, out as a snapshot."""
