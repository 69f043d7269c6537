"""LitServe: `python litserve_peer.py MODEL PORT WORKERS`. It finds the argument of predict by the name."""

from __future__ import annotations

import sys

import litserve
from model import Model


class Router(litserve.LitAPI):
    """The classifier as LitServe wants it."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe gives it
        """The model is loaded, once a worker."""
        self.model = Model(sys.argv[1])

    def decode_request(self, request: dict) -> str:
        """The text."""
        return request["text"]

    def predict(self, request: str) -> dict:
        """The answer."""
        return self.model.answer(request)

    def encode_response(self, output: dict) -> dict:
        """The answer as JSON."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Router(), accelerator="cpu", workers_per_device=int(sys.argv[3]))
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
