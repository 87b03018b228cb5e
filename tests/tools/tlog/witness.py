#!/usr/bin/env python3
"""An independent client of a C2SP tlog-witness: witness.py URL --origin NAME --seed HEX --stranger-seed HEX [--ca FILE].

The witness must know a log of that origin whose key is made of the seed, and hold nothing of it yet.
"""

import argparse
import base64
import concurrent.futures
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from c2sp import Key, Note, consistency, ed25519_sign, leaf_hash, root_of, signature_line  # noqa: E402


def b64(octets):
    return base64.b64encode(octets).decode()


class Log:
    """A log of our own: leaves are numbers, or others after a fork."""

    def __init__(self, origin, seed, fork=None):
        self.origin, self.seed, self.fork, self.key = origin, seed, fork, Key.of_seed(origin, seed)

    def leaves(self, size):
        other = lambda n: b"fork" if self.fork is not None and n >= self.fork else b""  # noqa: E731
        return [leaf_hash(b"%d" % n + other(n)) for n in range(size)]

    def note(self, size):
        text = f"{self.origin}\n{size}\n{b64(root_of(self.leaves(size)))}\n"
        return f"{text}\n{signature_line(self.origin, self.key.id, ed25519_sign(self.seed, text.encode()))}"

    def proof(self, old, size):
        return [b64(hash) for hash in consistency(self.leaves(size), old)]

    def ask(self, old, size, proof=None, note=None):
        lines = self.proof(old, size) if proof is None else proof
        return "".join([f"old {old}\n", *[f"{line}\n" for line in lines], "\n", note or self.note(size)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--origin", required=True)
    parser.add_argument("--seed", required=True, type=bytes.fromhex)
    parser.add_argument("--ca")
    args = parser.parse_args()
    context = ssl.create_default_context(cafile=args.ca)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def call(body, method="POST", path="add-checkpoint"):
        data = body if isinstance(body, bytes) else body.encode() if body is not None else None
        request = urllib.request.Request(f"{args.url}/{path}", data=data, method=method)
        request.add_header("Content-Type", "text/plain; charset=utf-8")
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get_content_type(), error.read()

    witness = Key(call(None, "GET", "witness")[2].decode())
    log, stranger = Log(args.origin, args.seed), Log(args.origin, bytes(31) + b"\1")
    unknown, fork = Log("nobody.example/log", args.seed), Log(args.origin, args.seed, fork=6)
    failures, done = [], 0

    def expect(what, body, status, then=None):
        nonlocal done
        done += 1
        got, media, answer = call(body)
        if got != status:
            return failures.append(f"{what}: {got} {answer[:200]!r}, {status} is due")
        if got == 409 and then is not None and (media != "text/x.tlog.size" or answer != b"%d\n" % then):
            failures.append(f"{what}: {media} {answer!r}, the size {then} is due")
        if got == 200:
            # Lines of the witness over exactly this text, of now; nothing else.
            text = then if then is not None else body.split("\n\n", 1)[1].rsplit("\n\n", 1)[0] + "\n"
            when = Note((text + "\n").encode() + answer).signed_by(witness)
            if when is None or abs(when - time.time()) > 600:
                failures.append(f"{what}: no cosignature of now: {answer!r}")

    two = log.note(9).removesuffix("\n") + "\n" + signature_line("other.example", b"abcd", bytes(64))
    long_proof = [b64(bytes(32))] * 64
    expect("an unknown log", unknown.ask(0, 5), 404)
    expect("another key under the log's name", stranger.ask(0, 5), 403)
    expect("no signature at all", f"old 0\n\n{args.origin}\n5\n{b64(bytes(32))}\n\n", 403)
    expect("the first one", log.ask(0, 5), 200)
    expect("the same again", log.ask(5, 5), 200)
    expect("as if it held nothing", log.ask(0, 7), 409, 5)
    expect("as if it held less", log.ask(3, 7), 409, 5)
    expect("as if it held more", log.ask(6, 7), 409, 5)
    expect("old larger than the checkpoint", log.ask(7, 5, []), 400)
    expect("a proof with a wrong hash", log.ask(5, 9, [b64(bytes(32))] + log.proof(5, 9)[1:]), 422)
    expect("a proof that is too short", log.ask(5, 9, log.proof(5, 9)[:-1]), 422)
    expect("a proof that is too long", log.ask(5, 9, [*log.proof(5, 9), b64(bytes(32))]), 422)
    expect("no proof", log.ask(5, 9, []), 422)
    expect("a proof where none is due", log.ask(5, 5, [b64(bytes(32))]), 422)
    expect("more hashes than any proof has", log.ask(5, 9, long_proof), 400)
    expect("a line that nobody knows beside the log's", log.ask(5, 9, note=two), 200)
    expect("the same size, another root", fork.ask(9, 9), 409)
    expect("a fork", fork.ask(9, 12), 422)
    for what, body in [
        ("nothing", ""),
        ("no old size", log.ask(9, 12).split("\n", 1)[1]),
        ("an old size in words", log.ask(9, 12).replace("old 9", "old nine")),
        ("an old size with a zero before it", log.ask(9, 12).replace("old 9", "old 09")),
        ("a negative old size", log.ask(9, 12).replace("old 9", "old -9")),
        ("a hash that is not base64", log.ask(9, 12, ["***"])),
        ("a hash of another length", log.ask(9, 12, [b64(bytes(31))])),
        ("no blank line", log.ask(9, 12).replace("\n\n", "\n")),
        ("not UTF-8", b"old 9\n\xff\n\n" + log.note(12).encode()),
        ("a size that is none", log.ask(9, 12).replace(f"{args.origin}\n12\n", f"{args.origin}\n012\n")),
    ]:
        done += 1
        got = call(body)[0]
        if got not in (400, 403):
            failures.append(f"{what}: {got}, 400 is due")
    done += 1
    try:
        got = call(b"old 9\n" + b"A" * 1_000_000)[0]
    except urllib.error.URLError:
        got = 413  # refused before all of it was sent, and the answer was lost with the connection
    if got not in (400, 413):
        failures.append(f"a megabyte: {got}, 413 is due")
    got = call(None, "GET")[0]
    if got not in (404, 405):
        failures.append(f"GET: {got}, 405 is due")
    # Both go on from nine entries, each to another end: one of them only.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ends = [Log(args.origin, args.seed, fork=9 + n % 2).ask(9, 20 + n % 2) for n in range(8)]
        statuses = list(pool.map(lambda body: call(body)[0], ends))
    holds = [status for status in statuses if status == 200]
    if len(holds) != 1 or any(status not in (200, 409) for status in statuses):
        failures.append(f"raced: {statuses}")
    if failures:
        sys.exit("\n".join(failures))
    print(json.dumps({"requests": done + 9, "witness": witness.name}))


if __name__ == "__main__":
    main()
