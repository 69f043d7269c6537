"""The journalled steps of a release run."""
