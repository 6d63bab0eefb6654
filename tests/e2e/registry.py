#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry in memory, with just enough of the distribution API for `docker plugin push` and `upgrade`.

Listens on a free port of the loopback interface, which it prints.
"""
import hashlib
import http.server
import re

blobs = {}  # digest -> bytes
manifests = {}  # (name, tag or digest) -> (type, bytes)


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_GET(self):
        if self.path == "/v2/":
            self.answer(200)
        elif found := re.fullmatch(r"/v2/.+/blobs/(.+)", self.path):
            blob = blobs.get(found[1])
            if blob is None:
                self.answer(404)
            else:
                self.answer(200, blob, Docker_Content_Digest=found[1])
        elif (found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path)) and found.groups() in manifests:
            kind, text = manifests[found.groups()]
            self.answer(200, text, Content_Type=kind, Docker_Content_Digest=digest_of(text))
        else:
            self.answer(404)

    do_HEAD = do_GET

    # An upload: POST begins it, PATCH brings the bytes, PUT names them.
    def do_POST(self):
        self.body()
        self.answer(202, Location=self.path.rstrip("/") + "/upload" + str(id(self)))

    def do_PATCH(self):
        data = self.body()
        blobs[self.path] = data
        self.answer(202, Location=self.path, Range=f"0-{len(data) - 1}")

    def do_PUT(self):
        text = self.body()
        if found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
            kind = self.headers["Content-Type"]
            for reference in (found[2], digest_of(text)):
                manifests[found[1], reference] = kind, text
            self.answer(201, Docker_Content_Digest=digest_of(text))
        else:
            upload, digest = self.path.split("?digest=")
            digest = digest.replace("%3A", ":")
            blob = blobs.pop(upload)
            blobs[digest] = blob
            self.answer(201 if digest == digest_of(blob) else 400, Docker_Content_Digest=digest)

    def log_message(self, *_):
        pass


def digest_of(text):
    return "sha256:" + hashlib.sha256(text).hexdigest()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
