"""Sealed release to predictor: fingerprint, tokens, sessions, decoding."""
