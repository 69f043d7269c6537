"""The MangaAssist world: traffic, catalogue, reviewers. Everything here is simulated."""
