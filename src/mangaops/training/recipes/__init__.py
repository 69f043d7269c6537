"""One file a family, readable top to bottom."""
