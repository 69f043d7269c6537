"""mangaops: release control for a chatbot's model stack."""

__version__ = "0.1.0"
