"""HTTP serving: slots, cutover, shadow mirror, drain. It serves and never decides."""
