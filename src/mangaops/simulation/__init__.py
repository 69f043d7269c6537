"""The MangaAssist world, all of it simulated: traffic, catalogue, reviewers and incidents."""

from mangaops.simulation.incidents import INCIDENTS, spoil
from mangaops.simulation.labels import LABELS, SHARES
from mangaops.simulation.reviewers import SIMULATED_REVIEWER, answer_review
from mangaops.simulation.traffic import write_traffic
from mangaops.simulation.world import Rates, Week, World

__all__ = [
    "INCIDENTS",
    "LABELS",
    "SHARES",
    "SIMULATED_REVIEWER",
    "Rates",
    "Week",
    "World",
    "answer_review",
    "spoil",
    "write_traffic",
]
