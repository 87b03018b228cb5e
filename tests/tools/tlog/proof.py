#!/usr/bin/env python3
"""An independent client of C2SP tlog-proof: proof.py FOLDER --key VKEY checks every FOLDER/entries/N.json by its
FOLDER/proofs/N.tlog-proof."""

import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from c2sp import Bad, Checkpoint, Key, leaf_hash, node_hash, unbase64, want  # noqa: E402


def holds(entry, text, key):
    """RFC 9162 section 2.1.3.2; gives the index."""
    head, blank, note = text.partition("\n\n")
    want(blank, "a proof without a checkpoint")
    lines = head.split("\n")
    want(lines[0] == "c2sp.org/tlog-proof@v1", "another format")
    lines = [line for line in lines[1:] if not line.startswith("extra ")]
    want(lines and lines[0].startswith("index "), "no index")
    index, path = int(lines[0][6:]), [unbase64(line, "a hash that is not base64") for line in lines[1:]]
    checkpoint = Checkpoint(note.encode(), key)
    want(index < checkpoint.size, "beyond the log")
    fn, sn, r = index, checkpoint.size - 1, leaf_hash(entry)
    for p in path:
        want(sn, "a proof that is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    want(sn == 0 and r == checkpoint.root, "not in the log")
    return index


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--key", required=True, type=Key)
    args = parser.parse_args()
    proven = []
    try:
        for file in sorted((args.folder / "entries").iterdir()):
            proof = args.folder / "proofs" / (file.stem + ".tlog-proof")
            index = holds(file.read_bytes(), proof.read_text(encoding="utf-8"), args.key)
            want(index == int(file.stem), f"{file.stem}: a proof of another entry")
            proven.append(index)
    except (Bad, ValueError) as error:
        sys.exit(f"DISPROVEN: {file.stem}: {error}")
    print(json.dumps({"proven": proven}))


if __name__ == "__main__":
    main()
