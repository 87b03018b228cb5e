#!/usr/bin/env python3
"""An independent auditor of a C2SP log: verify.py PREFIX_OR_DIR --key VKEY [--witness VKEY] [--old FILES…] [--mutate N].

Everything is read and hashed again: bundles to leaves, leaves to tiles, tiles to the root, and every older checkpoint to the
root of its first entries. With --mutate, single octets of what was read are changed and each change must be rejected.
"""

import argparse
import functools
import json
import os
import pathlib
import random
import ssl
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from c2sp import Bad, Checkpoint, Key, leaf_hash, node_hash, root_of, want  # noqa: E402


def path_of(level, index, width):
    digits = f"{index:03d}"
    digits = "0" * (-len(digits) % 3) + digits
    groups = [digits[n : n + 3] for n in range(0, len(digits), 3)]
    name = "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{name}" + (f".p/{width}" if width < 256 else "")


def tiles(level, nodes):
    """Paths of the tiles over so many nodes of a level, with index and width."""
    out = [(path_of(level, n, 256), n, 256) for n in range(nodes // 256)]
    if nodes % 256:
        out.append((path_of(level, nodes // 256, nodes % 256), nodes // 256, nodes % 256))
    return out


def needed(size):
    """Every resource of a log of that size."""
    out, nodes, level = [path for path, _, _ in tiles("entries", size)], size, 0
    while nodes:
        out += [path for path, _, _ in tiles(level, nodes)]
        nodes, level = nodes // 256, level + 1
    return out


@functools.lru_cache(maxsize=200_000)
def leaves_of(bundle, width):
    out, at = [], 0
    while at < len(bundle):
        want(at + 2 <= len(bundle), "a bundle that ends within a length")
        length = int.from_bytes(bundle[at : at + 2], "big")
        want(at + 2 + length <= len(bundle), "a bundle that ends within an entry")
        entry = bundle[at + 2 : at + 2 + length]
        json.loads(entry)
        out.append(leaf_hash(entry))
        at += 2 + length
    want(len(out) == width, "a bundle with another number of entries")
    return b"".join(out)


@functools.lru_cache(maxsize=200_000)
def root_of_tile(tile):
    return root_of([tile[n : n + 32] for n in range(0, len(tile), 32)])


def judge(read, keys, olds):
    """Raises Bad; gives the checkpoint's size and the times of the cosigners."""
    log, witnesses = keys
    checkpoint = Checkpoint(read("checkpoint"), log)
    times = [checkpoint.note.signed_by(witness) for witness in witnesses]
    want(all(times), "a witness did not cosign")
    below, nodes, level = None, checkpoint.size, 0
    while nodes:
        row = []
        for place, (path, index, width) in enumerate(tiles(level, nodes)):
            tile = read(path)
            want(tile is not None and len(tile) == 32 * width, f"{path}: missing or of another length")
            if level == 0:
                bundle = read(path_of("entries", index, width))
                want(bundle is not None, f"bundle {index} is missing")
                want(leaves_of(bundle, width) == tile, f"{path}: not the leaf hashes of its entries")
            else:
                made = b"".join(root_of_tile(below[index * 256 + n]) for n in range(width))
                want(made == tile, f"{path}: not the roots of the tiles below")
            row.append(tile)
        below, nodes, level = row, nodes // 256, level + 1
    want(whole_root(read, checkpoint.size) == checkpoint.root, "another root")
    for name, old in olds:
        want(old.size <= checkpoint.size, f"{name}: {old.size} entries were signed, {checkpoint.size} are shown")
        want(whole_root(read, old.size) == old.root, f"{name}: not the past of this log")
    return checkpoint.size, times


def whole_root(read, size):
    """Root of the first `size` entries from the tiles of leaf hashes, 256 at a time."""
    hashes = []
    for path, index, width in tiles(0, size):
        tile = read(path)
        if tile is None:  # a partial tile of then is the beginning of a fuller one
            tile = read(path_of(0, index, 256)) or read.widest(index)
        tile = tile[: 32 * width]
        if width == 256:
            hashes.append(root_of_tile(tile))
        else:
            return over(hashes, root_of_tile(tile))
    return root_of(hashes)


def over(full, rest):
    """Root of full tiles and a rest to their right: the rest is narrower than any of them."""
    if not full:
        return rest
    k = 1 << (len(full)).bit_length() - 1
    if k == len(full):
        return node_hash(root_of(full), rest)
    return node_hash(root_of(full[:k]), over(full[k:], rest))


class Resources:
    """Everything of the log, read once."""

    def __init__(self, get, key):
        self.files = {"checkpoint": get("checkpoint")}
        want(self.files["checkpoint"] is not None, "no checkpoint")
        self.size = Checkpoint(self.files["checkpoint"], key).size
        for path in needed(self.size):
            self.files[path] = get(path)

    def __call__(self, path):
        return self.files.get(path)

    def widest(self, index):
        return self.files.get(path_of(0, index, self.size - index * 256))


def mutate(resources, keys, olds, count, seed):
    """Changes single octets; each change is rejected, or it is in a line of nobody that was asked about."""
    dice, rejected, harmless = random.Random(seed), 0, 0
    names = sorted(resources.files)
    log = keys[0]
    for n in range(count):
        # Every second one in small files, so that checkpoint and edge are hit often.
        name = "checkpoint" if n % 10 == 0 else dice.choice(names)
        octets = resources.files[name]
        at, bit = dice.randrange(len(octets)), dice.randrange(1, 256)
        resources.files[name] = octets[:at] + bytes([octets[at] ^ bit]) + octets[at + 1 :]
        try:
            judge(resources, keys, olds)
            note, before = Checkpoint(resources.files["checkpoint"], log).note, Checkpoint(octets, log).note
            own = lambda note: [line for line in note.lines if line[0] == log.name and line[1] == log.id]  # noqa: E731
            same = note.text == before.text and own(note) == own(before)
            want(name == "checkpoint" and same, "ACCEPTED")
            harmless += 1
        except (Bad, ValueError) as error:
            if str(error) == "ACCEPTED":
                sys.exit(f"{name}: octet {at} changed by {bit:#x} was accepted")
            rejected += 1
        resources.files[name] = octets
    return {"rejected": rejected, "harmless": harmless}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--key", required=True, type=Key)
    parser.add_argument("--witness", action="append", default=[], type=Key)
    parser.add_argument("--old", nargs="*", default=[], type=pathlib.Path)
    parser.add_argument("--ca")
    parser.add_argument("--cert")
    parser.add_argument("--client-key")
    parser.add_argument("--mutate", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    def from_folder(path):
        file = pathlib.Path(args.log, path)
        return file.read_bytes() if file.is_file() else None

    def from_url(path):
        try:
            with opener.open(f"{args.log}/{path}", timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            return None if error.code == 404 else sys.exit(f"{path}: {error}")

    if args.log.startswith("https://"):
        context = ssl.create_default_context(cafile=args.ca)
        if args.cert:
            context.load_cert_chain(args.cert, args.client_key)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    get = from_url if args.log.startswith("https://") else from_folder
    try:
        resources = Resources(get, args.key)
        keys = (args.key, args.witness)
        olds = [(str(file), Checkpoint(file.read_bytes(), args.key)) for file in args.old]
        size, times = judge(resources, keys, olds)
        told = {"size": size, "files": len(resources.files), "olds": len(olds), "cosigned": times}
        if args.mutate:
            told["mutated"] = mutate(resources, keys, olds, args.mutate, args.seed)
    except (Bad, ValueError) as error:
        sys.exit(f"DISPROVEN: {error}")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
