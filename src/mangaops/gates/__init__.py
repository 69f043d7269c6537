"""Rules and evidence to verdicts to a decision. Pure."""
