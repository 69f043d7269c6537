"""Commands: parse, call one verb, print."""
