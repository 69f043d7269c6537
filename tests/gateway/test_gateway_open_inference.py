"""The Open Inference Protocol on a real server: by hand, and with a client that nobody here wrote."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_room import Reply, Server, pinning, serving
from tritonclient.utils import InferenceServerException

from mangaops.pipeline.gateway_world import GatewayWorld

INFER = "/v2/models/router/infer"
TEXTS = ["where is my order", "", "返品したい 😀"]


def tensor(texts: list[str], shape: list[int] | None = None, **changed: Any) -> dict[str, Any]:
    given = {"name": "text", "shape": shape or [len(texts)], "datatype": "BYTES", "data": texts}
    return {"inputs": [{**given, **changed}]}


def packed(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def send_binary(server: Server, tail: bytes, shape: list[int], *, size: Any = None, **more: Any) -> Reply:
    given = {"name": "text", "shape": shape, "datatype": "BYTES"}
    given["parameters"] = {"binary_data_size": len(tail) if size is None else size}
    head = json.dumps({"inputs": [given], **more}).encode()
    return server.ask("POST", INFER, head + tail, {"Inference-Header-Content-Length": str(len(head))})


def outputs(reply: Reply) -> dict[str, Any]:
    return {each["name"]: each["data"] for each in reply.json["outputs"]}


def test_texts_as_json_are_answered_as_the_unit_answers_them(server: Server) -> None:
    reply = server.ask("POST", INFER, {**tensor(TEXTS), "id": "mine"})
    assert reply.status == 200
    assert (reply.json["model_name"], reply.json["model_version"]) == ("router", "router-1")
    assert reply.json["id"] == "mine"
    assert reply.json["parameters"]["generation"] == 1
    found = outputs(reply)
    alone = [server.route(text).json for text in TEXTS]
    assert found["intent"] == [each["intent"] for each in alone]
    assert found["action"] == [each["action"] for each in alone]
    assert found["confidence"] == pytest.approx([each["confidence"] for each in alone], abs=0.05)
    assert [each["shape"] for each in reply.json["outputs"]] == [[3]] * 3


@pytest.mark.parametrize("data", [[["a"], ["b"]], ["a", "b"]])
def test_a_column_of_texts_is_answered_in_its_shape(server: Server, data: Any) -> None:
    reply = server.ask("POST", INFER, tensor(["a", "b"], [2, 1], data=data))
    assert reply.status == 200
    assert reply.json["outputs"][0]["shape"] == [2, 1]


def test_only_the_outputs_that_are_wanted_come(server: Server) -> None:
    reply = server.ask("POST", INFER, {**tensor(["a"]), "outputs": [{"name": "action"}]})
    assert list(outputs(reply)) == ["action"]
    wrong = server.ask("POST", INFER, {**tensor(["a"]), "outputs": [{"name": "logits"}]})
    assert (wrong.status, wrong.json["accepted"]) == (422, "intent, confidence, action")


def test_texts_as_bytes_are_answered_as_bytes_where_that_is_wanted(server: Server) -> None:
    tail = packed(*(text.encode() for text in TEXTS))
    as_json = send_binary(server, tail, [3])
    assert outputs(as_json)["intent"] == outputs(server.ask("POST", INFER, tensor(TEXTS)))["intent"]
    reply = send_binary(server, tail, [3], parameters={"binary_data_output": True})
    cut = int(reply.headers["inference-header-content-length"])
    head, rest = json.loads(reply.body[:cut]), reply.body[cut:]
    sizes = [each["parameters"]["binary_data_size"] for each in head["outputs"]]
    assert sum(sizes) == len(rest)
    intents = packed(*(each.encode() for each in outputs(as_json)["intent"]))
    assert rest[: sizes[0]] == intents
    assert list(struct.unpack("<3d", rest[sizes[0] : sizes[0] + 24])) == outputs(as_json)["confidence"]


def test_bytes_that_are_no_utf8_are_answered(server: Server) -> None:
    assert send_binary(server, packed(b"\xff\xfe\x00", b"\xed\xa0\x80"), [2]).status == 200


WRONG: dict[str, dict[str, Any]] = {
    "no inputs": {"inputs": []},
    "two inputs": {"inputs": tensor(["a"])["inputs"] * 2},
    "another name": tensor(["a"], name="input_ids"),
    "another type": tensor(["a"], datatype="INT64"),
    "numbers": tensor(["a"], data=[1]),
    "no data": tensor(["a"], data=None),
    "too few": tensor(["a"], [2]),
    "none": tensor([], [0]),
    "too many": tensor(["a"] * 65),
    "a row": tensor(["a", "b"], [1, 2]),
    "a cube": tensor(["a"], [1, 1, 1]),
    "no shape": {"inputs": [{"name": "text", "shape": [], "datatype": "BYTES", "data": ["a"]}]},
    "negative": tensor(["a"], [-1]),
    "a huge side": tensor(["a"], [10**4000, 10**4000]),
    "a long text": tensor(["x" * 1001]),
    "a size without bytes": tensor(["a"], parameters={"binary_data_size": 5}),
    "a size that is a text": tensor(["a"], parameters={"binary_data_size": "5"}),
    "a size that is huge": tensor(["a"], parameters={"binary_data_size": 10**4200}),
    "a size that is a list": tensor(["a"], parameters={"binary_data_size": [[1]]}),
    "parameters that are none": {**tensor(["a"]), "parameters": 3},
    "a long id": {**tensor(["a"]), "id": "x" * 201},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_request_that_is_not_of_the_protocol_is_422(server: Server, wrong: str) -> None:
    reply = server.ask("POST", INFER, WRONG[wrong])
    assert (reply.status, reply.json["kind"]) == (422, "InputError")


@pytest.mark.parametrize(
    "header", ["-1", "x", "9" * 20, "9" * 5000, "1.5", "", "²", "٣".encode().decode("latin-1")]
)
def test_a_length_of_the_header_that_is_none_is_422(server: Server, header: str) -> None:
    body = json.dumps(tensor(["a"])).encode()
    told = {"Inference-Header-Content-Length": header.encode("latin-1")}
    assert server.ask("POST", INFER, body, told).status == 422  # type: ignore[arg-type]
    right = {"Inference-Header-Content-Length": str(len(body))}
    assert server.ask("POST", INFER, body, right).status == 200


@pytest.mark.parametrize(
    "tail", [b"\x01", b"\xff\xff\xff\xff", packed(b"ab")[:-1], packed(b"a") + b"\x00\x00"]
)
def test_bytes_that_are_cut_off_are_422(server: Server, tail: bytes) -> None:
    assert send_binary(server, tail, [1]).status == 422


def test_a_size_that_is_not_that_of_the_bytes_is_422(server: Server) -> None:
    assert send_binary(server, packed(b"a"), [1], size=4).status == 422
    assert send_binary(server, packed(b"a"), [1], size=5).status == 200


@given(st.binary(max_size=60), st.lists(st.integers(0, 4), max_size=3))
@settings(max_examples=40, deadline=None)
def test_whatever_bytes_come_the_answer_is_200_or_422(server: Server, tail: bytes, shape: list[int]) -> None:
    assert send_binary(server, tail, shape).status in (200, 422)


@pytest.mark.parametrize("path", ["", "/ready", "/versions/router-1", "/versions/router-1/ready"])
def test_the_release_that_serves_is_the_version(server: Server, path: str) -> None:
    reply = server.ask("GET", f"/v2/models/router{path}")
    assert reply.status == 200
    assert "router-1" in (reply.json.get("version"), *reply.json.get("versions", []))


@pytest.mark.parametrize("model", ["router/versions/router-2", "router/versions/1", "sentiment", "%ff"])
def test_what_does_not_serve_is_404(server: Server, model: str) -> None:
    for method, path in (("GET", ""), ("GET", "/ready"), ("POST", "/infer")):
        body = tensor(["a"]) if method == "POST" else None
        reply = server.ask(method, f"/v2/models/{model}{path}", body)
        assert (reply.status, reply.json["kind"]) == (404, "NotServed")


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as made:
        yield made


def asked(texts: list[str], *, binary: bool) -> triton.InferInput:
    given = triton.InferInput("text", [len(texts)], "BYTES")
    given.set_data_from_numpy(np.array(texts, dtype=np.object_), binary_data=binary)
    return given


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_the_client_of_triton_gets_what_the_unit_answers(
    server: Server, client: Any, sent: bool, wanted: bool
) -> None:
    names = ("intent", "confidence", "action")
    outputs = [triton.InferRequestedOutput(name, binary_data=wanted) for name in names]
    found = client.infer("router", [asked(TEXTS, binary=sent)], outputs=outputs, request_id="r7")
    alone = [server.route(text).json for text in TEXTS]
    intents = [each.decode() if isinstance(each, bytes) else each for each in found.as_numpy("intent")]
    assert intents == [each["intent"] for each in alone]
    assert found.as_numpy("confidence").dtype == np.float64
    assert (found.get_response()["id"], found.get_response()["model_version"]) == ("r7", "router-1")


def test_the_client_of_triton_sees_health_metadata_and_refusals(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("router")
    assert client.is_model_ready("router", "router-1")
    assert not client.is_model_ready("router", "router-9")
    told = client.get_model_metadata("router")
    assert (told["name"], told["versions"]) == ("router", ["router-1"])
    assert [each["name"] for each in told["outputs"]] == ["intent", "confidence", "action"]
    assert client.get_server_metadata()["name"] == "mangaops"
    with pytest.raises(InferenceServerException, match="no such unit"):
        client.infer("nobody", [asked(["a"], binary=True)])
    with pytest.raises(InferenceServerException, match="does not serve"):
        client.infer("router", [asked(["a"], binary=True)], model_version="router-9")


def test_a_pinned_conversation_keeps_its_release_however_it_asks(world: GatewayWorld, tmp_path: Path) -> None:
    with serving(world, tmp_path / "gateway", stack=pinning(world.shop.desk.stack)) as server:
        asked = {**tensor(["hello"]), "parameters": {"conversation_id": "c1"}}
        assert server.route("hello", conversation_id="c1").json["release"] == "router-1"
        world.promote_next()
        assert server.ask("POST", INFER, tensor(["hello"])).json["model_version"] == "router-2"
        assert server.route("hello", conversation_id="c1").json["release"] == "router-1"
        assert server.ask("POST", INFER, asked).json["model_version"] == "router-1"
        named = server.ask("POST", "/v2/models/router/versions/router-2/infer", asked)
        assert named.json["model_version"] == "router-2"
        world.roll_back()
        world.promote_next()
        assert server.ask("POST", INFER, asked).json["model_version"] == server.route("hello").json["release"]
