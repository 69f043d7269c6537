"""The MangaAssist world, all of it simulated: traffic, shop, searches, reviewers and incidents."""

from mangaops.simulation.incidents import INCIDENTS, spoil
from mangaops.simulation.labels import LABELS, SHARES
from mangaops.simulation.reviewers import SIMULATED_REVIEWER, answer_review
from mangaops.simulation.search_files import write_searches
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
    "write_searches",
    "write_traffic",
]
