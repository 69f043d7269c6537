"""What recipes share: plain functions, never a base class."""
