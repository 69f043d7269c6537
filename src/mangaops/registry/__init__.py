"""Lifecycle table, events, fold. Pure."""
