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
        kind, data = "application/octet-stream", None
        if found := re.fullmatch(r"/v2/.+/blobs/(.+)", self.path):
            data = blobs.get(found[1])
        elif found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
            kind, data = manifests.get(found.groups(), (kind, None))
        if data is None:
            self.answer(404)
            return
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.answer(200, data, Content_Type=kind, Docker_Content_Digest=digest)

    do_HEAD = do_GET

    # An upload: POST begins it, PUT brings the bytes and their digest.
    def do_POST(self):
        self.body()
        self.answer(202, Location=self.path + "upload")

    def do_PUT(self):
        data = self.body()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
            for reference in (found[2], digest):
                manifests[found[1], reference] = self.headers["Content-Type"], data
        else:
            blobs[digest] = data
        self.answer(201, Docker_Content_Digest=digest)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
