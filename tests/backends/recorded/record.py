"""Records what a real server sends while a session runs, for `tests/backends/test_recorded.py`.

It stands between the backend and the server, passes everything on, and writes it down:

    python tests/backends/recorded/record.py http://127.0.0.1:8000 NAME.json --mode chat

A recording holds the exchanges in order, and the trace that came of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

sys.path.append(str(Path(__file__).parents[2]))

from recorded_session import QUESTION, session

from start_sdk.backends.openai import OpenAIBackend

VOLATILE = ("created", "id", "timings", "modified_at", "permission", "system_fingerprint", "model",
    "object", "kv_transfer_params", "service_tier")  # fmt: skip
"""Fields that differ from run to run, or say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("name")
    parser.add_argument("--mode", default=None)
    parser.add_argument("--tokenizer", default=None)
    options = parser.parse_args()
    exchanges: list[dict[str, Any]] = []

    class Proxy(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = httpx2.request(
                self.command,
                options.server + self.path,
                content=data,
                headers={"content-type": "application/json"},
                timeout=300,
            )
            exchanges.append(exchange(self.command, self.path, data, answer))
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.end_headers()
            self.wfile.write(answer.content)

        def do_GET(self) -> None:
            self.do_POST()

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    backend = OpenAIBackend(url, mode=options.mode, tokenizer=options.tokenizer)

    async def run() -> dict[str, Any]:
        async with aclosing(backend):
            trace = await session(backend).run(QUESTION)
            return {"text": trace.text, "finish": trace.finish, "answer": trace.answer}

    told = asyncio.run(run())
    recorded = {
        "command": "record.py " + " ".join(sys.argv[1:]),
        "mode": options.mode,
        "tokenizer": options.tokenizer,
        "note": backend.capabilities.note,
        "trace": told,
        "exchanges": exchanges,
    }
    path = Path(__file__).with_name(options.name)
    lines = ",\n".join(json.dumps(e, separators=(",", ":")) for e in exchanges)
    head = json.dumps({**recorded, "exchanges": []}, indent=1).replace("[]", f"[\n{lines}\n ]")
    path.write_text(head + "\n", encoding="utf-8")
    print(path, path.stat().st_size, backend.capabilities.note, told)


def exchange(method: str, path: str, sent: bytes, answer: httpx2.Response) -> dict[str, Any]:
    kind, text = answer.headers["content-type"], answer.text
    body = json.loads(sent) if sent else None
    if body and "model" in body:
        body["model"] = steady(body["model"])
    found: dict[str, Any] = {"method": method, "path": path, "body": body}
    found |= {"status": answer.status_code, "type": kind}
    if "event-stream" in kind:
        events = [e.removeprefix("data: ") for e in text.replace("\r\n", "\n").split("\n\n") if e]
        found["events"] = [e if e == "[DONE]" else steady(json.loads(e)) for e in events]
    else:
        found["answer"] = steady(json.loads(text)) if "json" in kind else text
    return found


def steady(value: Any) -> Any:
    """A value without what differs from run to run."""
    if isinstance(value, dict):
        return {
            k: steady(v)
            for k, v in value.items()
            if k not in VOLATILE or (k == "id" and "owned_by" in value)
        }
    if isinstance(value, list):
        return [steady(v) for v in value]
    return (
        Path(value).name
        if isinstance(value, str) and value.startswith("/") and " " not in value
        else value
    )


if __name__ == "__main__":
    main()
