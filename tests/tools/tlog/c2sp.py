"""Signed notes, checkpoints, cosignatures and Merkle trees, written from the specifications (C2SP signed-note, tlog-checkpoint,
tlog-cosignature, tlog-tiles; RFC 6962; RFC 8032). Shares nothing with the project whose logs it judges."""

import base64
import functools
import hashlib


class Bad(Exception):
    """The log does not hold."""


def want(holds, what):
    if not holds:
        raise Bad(what)


def unbase64(text, what):
    try:
        octets = base64.b64decode(text, validate=True)
    except ValueError:
        raise Bad(what) from None
    want(base64.b64encode(octets).decode() == text, what)
    return octets


# Ed25519 (RFC 8032 section 5.1), in affine steps over extended coordinates.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def recover(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


BY = 4 * pow(5, P - 2, P) % P
BX = recover(BY, 0)
BASE = (BX, BY, 1, BX * BY % P)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = add(q, p)
        p = add(p, p)
        n >>= 1
    return q


def compress(p):
    z = pow(p[2], P - 2, P)
    x, y = p[0] * z % P, p[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(octets):
    y = int.from_bytes(octets, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x = recover(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


@functools.lru_cache(maxsize=100_000)
def ed25519_holds(public, message, signature):
    if len(signature) != 64:
        return False
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def ed25519_public(seed):
    h = hashlib.sha512(seed).digest()
    a = (int.from_bytes(h[:32], "little") & (1 << 254) - 8) | 1 << 254
    return a, h[32:], compress(times(a, BASE))


def ed25519_sign(seed, message):
    a, prefix, public = ed25519_public(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    point = compress(times(r, BASE))
    h = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L
    return point + ((r + h * a) % L).to_bytes(32, "little")


class Key:
    """A verifier key: name+hash+base64(type, key)."""

    def __init__(self, text):
        parts = text.strip().split("+", 2)
        want(len(parts) == 3 and parts[0] and " " not in parts[0], "a verifier key has three parts")
        self.name, octets = parts[0], unbase64(parts[2], "the key is not base64")
        want(len(octets) == 33 and octets[0] in (1, 4), "a key of an unknown type")
        self.type, self.public = octets[0], octets[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + octets).digest()[:4]
        want(self.id.hex() == parts[1], "the key's hash is another")

    @staticmethod
    def of_seed(name, seed, kind=1):
        octets = bytes([kind]) + ed25519_public(seed)[2]
        digest = hashlib.sha256(name.encode() + b"\n" + octets).digest()[:4]
        return Key(f"{name}+{digest.hex()}+{base64.b64encode(octets).decode()}")


def signature_line(name, key_id, octets):
    return f"\u2014 {name} {base64.b64encode(key_id + octets).decode()}\n"


class Note:
    """Text and signature lines of a signed note."""

    def __init__(self, octets):
        try:
            whole = octets.decode("utf-8")
        except UnicodeDecodeError:
            raise Bad("a note that is not UTF-8") from None
        want(all(c == "\n" or (ord(c) >= 0x20 and ord(c) != 0x7F) for c in whole), "control characters in a note")
        text, blank, lines = whole.rpartition("\n\n")
        want(blank, "a note without signatures")
        self.text = text + "\n"
        want(lines.endswith("\n"), "the last signature line has no end")
        self.lines = []
        for line in lines[:-1].split("\n"):
            parts = line.split(" ")
            want(len(parts) == 3 and parts[0] == "\u2014" and parts[1], "a signature line that is none")
            octets = unbase64(parts[2], "a signature that is not base64")
            want(len(octets) >= 5, "a signature without a key")
            self.lines.append((parts[1], octets[:4], octets[4:]))

    def signed_by(self, key):
        """Whether the key signed; a line in its name that does not verify is a fault. For a cosigner: its time."""
        for name, key_id, octets in self.lines:
            if name != key.name or key_id != key.id:
                continue
            message, signature, when = self.text.encode(), octets, True
            if key.type == 4:
                want(len(octets) == 72, "a cosignature of another length")
                when, signature = int.from_bytes(octets[:8], "big"), octets[8:]
                message = f"cosignature/v1\ntime {when}\n{self.text}".encode()
            want(ed25519_holds(key.public, message, signature), f"the signature of {name} does not verify")
            return when
        return None


class Checkpoint:
    def __init__(self, octets, key):
        self.note = Note(octets)
        want(self.note.signed_by(key) is not None, "not signed by the log")
        lines = self.note.text.split("\n")
        want(len(lines) >= 4 and lines[0] == key.name, "another origin")
        want(lines[1].isascii() and lines[1].isdigit() and (lines[1] == "0" or lines[1][0] != "0"), "a size that is none")
        self.size, self.root = int(lines[1]), unbase64(lines[2], "a root that is not base64")
        want(len(self.root) == 32, "a root of another length")


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


EMPTY = hashlib.sha256(b"").digest()


def root_of(hashes):
    """RFC 6962 section 2.1 over leaf hashes, or over hashes of complete subtrees of one size."""
    if not hashes:
        return EMPTY
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(root_of(hashes[:k]), root_of(hashes[k:]))


def consistency(leaves, old):
    """RFC 6962 section 2.1.2: from the first `old` leaves to all of them."""

    def sub(part, m, whole):
        if m == len(part):
            return [] if whole else [root_of(part)]
        k = 1 << (len(part) - 1).bit_length() - 1
        if m <= k:
            return sub(part[:k], m, whole) + [root_of(part[k:])]
        return sub(part[k:], m - k, False) + [root_of(part[:k])]

    return sub(leaves, old, True) if 0 < old < len(leaves) else []
