"""Commands: parse, call one verb, print. Everything slow is imported inside the command that needs it."""

from mangaops.cli.main import main

__all__ = ["main"]
