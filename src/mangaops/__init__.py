"""mangaops: release control for a chatbot's model stack."""

import os

__version__ = "0.1.0"

# ONNX Runtime tells its maker about each start unless this is said before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
