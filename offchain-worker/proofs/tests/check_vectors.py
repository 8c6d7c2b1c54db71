"""Checks the test vectors of proof of compute with nothing but Python's own library: trees, points, sketches, ballots.

An implementation to read, not to use. Exits with an error on the first difference. The vectors of requests and receipts
are checked by the script of the same name beside the vectors of the protocol.
"""

import hashlib
import json
import math
import pathlib
import struct
from fractions import Fraction

HERE = pathlib.Path(__file__).parent


def load(name):
    return json.loads((HERE / "vectors" / name).read_text())


def unhex(text):
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def same(what, got, expected):
    if got != expected:
        raise SystemExit(f"{what}:\n  computed {got!r}\n  in file  {expected!r}")


def blake2(*parts):
    return hashlib.blake2b(b"".join(parts), digest_size=32).digest()


def uint(value, size):
    return int(value).to_bytes(size, "little")


# Merkle sum trees

def check_trees():
    v = load("merkle.json")
    domain = v["domain"].encode()

    def pair(node):
        return node[0] + uint(node[1], 16)

    def join(left, right):
        return blake2(b"\x01", domain, pair(left), pair(right)), left[1] + right[1]

    for tree in v["trees"]:
        count = tree["leaves"]
        values = [(i + 1) << 64 if i % 5 == 4 else 1000 + i for i in range(count)]
        leaves = [(blake2(b"\x00", domain, blake2(b"leaf %d" % i), uint(value, 16)), value)
                  for i, value in enumerate(values)]
        levels = [leaves]
        while len(levels[-1]) > 1:
            level = levels[-1]
            levels.append([join(*level[i:i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)])
        top = levels[-1][0] if leaves else (bytes(32), 0)
        root = blake2(b"\x02", domain, uint(count, 4), pair(top))
        same("root", root, unhex(tree["root"]))
        same("value", top[1], int(tree["value"]))
        same("work", root + uint(count, 4) + uint(top[1], 16), unhex(tree["work_scale"]))
        for proof in tree["proofs"]:
            index = proof["index"]
            siblings = [level[(index >> depth) ^ 1] for depth, level in enumerate(levels)
                        if (index >> depth) ^ 1 < len(level)]
            scale = uint(index, 4) + uint(len(siblings) << 2, 1) + b"".join(map(pair, siblings))
            same("proof", scale, unhex(proof["scale"]))
            same("range", (sum(values[:index]), sum(values[:index + 1])), (int(proof["from"]), int(proof["to"])))
            # As whoever gets the proof: the path of the index, what is on its left, and nothing left over.
            node, start, at, last, rest = leaves[index], 0, index, count - 1, list(siblings)
            while last:
                if at & 1:
                    left = rest.pop(0)
                    node, start = join(left, node), start + left[1]
                elif at < last:
                    node = join(node, rest.pop(0))
                at, last = at >> 1, last >> 1
            same("proven top", (node, start, rest), (top, int(proof["from"]), []))


# Sampling

def number(hash_):
    return int.from_bytes(hash_, "big")


def points(seed, receipts, start, end, rate, most):
    if end <= start:
        return []
    whole, fraction = divmod(receipts * rate, 10**9)
    count = whole + (number(blake2(b"llmesh/poc-count/v1", seed)) % 10**9 < fraction)
    count, width, drawn = min(count, most, end - start), end - start, []
    for part in range(count):
        low, high = width * part // count, width * (part + 1) // count
        drawn.append(start + low + number(blake2(b"llmesh/poc-point/v1", seed, uint(part, 8))) % (high - low))
    return drawn


def check_points():
    v = load("points.json")
    randomness = unhex(v["randomness"])
    for batch in v["batches"]:
        seed = blake2(b"llmesh/poc-draw/v1", randomness, uint(batch["batch"], 8))
        same("draw seed", seed, unhex(batch["draw_seed"]))
        drawn = points(seed, batch["receipts"], int(batch["from"]), int(batch["to"]), batch["rate_parts_per_billion"],
                       batch["most"])
        same("points", drawn, [int(point) for point in batch["points"]])
    a = v["audit"]
    seed = blake2(b"llmesh/poc-draw/v1", randomness, uint(a["batch"], 8))
    seed = blake2(b"llmesh/poc-audit/v1", seed, uint(a["index"], 4))
    same("audit seed", seed, unhex(a["audit_seed"]))
    same("committee seed", blake2(b"llmesh/poc-committee/v1", seed), unhex(a["committee_seed"]))
    for stage, expected in enumerate(a["stage_seeds"]):
        same("stage seed", blake2(b"llmesh/poc-stage/v1", seed, uint(stage, 1)), unhex(expected))


# Sketches

LARGEST = 2**40
FORMATS = {
    "UINT8": "B", "INT8": "b", "UINT16": "H", "INT16": "h", "UINT32": "I", "INT32": "i", "UINT64": "Q", "INT64": "q",
    "BOOL": "?", "FP16": "e", "FP32": "f", "FP64": "d",
}


def elements(element_type, data):
    if element_type == "BF16":
        # The upper half of a binary32.
        data = b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2))
        element_type = "FP32"
    return [value for (value,) in struct.iter_unpack("<" + FORMATS[element_type], data)]


def on_grid(value):
    if isinstance(value, float) and not math.isfinite(value):
        return -LARGEST if value == -math.inf else LARGEST
    # Fractions are exact, and round() of one goes to even.
    return max(-LARGEST, min(LARGEST, round(Fraction(value) * 2**20)))


def sketch(domain, seed, tensors):
    values = [on_grid(value) for t in tensors for value in elements(t["element_type"], unhex(t["data"]))]
    sums = [0] * 15
    for e, value in enumerate(values):
        hash_ = blake2(domain, seed, uint(e // 16, 8))
        bits = int.from_bytes(hash_[e % 16 * 2:][:2], "little")
        for j in range(15):
            sums[j] += -value if bits >> j & 1 else value
    return sums + [math.isqrt(sum(value * value for value in values))]


def close(verifier, host, tolerance):
    allowed = Fraction(tolerance, 10**9)**2 * verifier[15]**2 + 4
    apart = [(a - b)**2 for a, b in zip(verifier, host)]
    return sum(apart[:15]) <= 15 * allowed and apart[15] <= allowed


def check_sketches():
    v = load("sketch.json")
    domain = v["domain"].encode()

    def check(case):
        numbers = sketch(domain, unhex(case["seed"]), case["tensors"])
        same("sketch", numbers, [int(n) for n in case["sketch"]])
        same("encoded sketch", b"".join(struct.pack("<q", n) for n in numbers), unhex(case["scale"]))
        return numbers

    for case in v["sketches"]:
        check(case)
    verifier, host = check(v["pair"]["verifier"]), check(v["pair"]["host"])
    for case in v["pair"]["close"]:
        same("close", close(verifier, host, case["tolerance_parts_per_billion"]), case["close"])
    same("both answers", {case["close"] for case in v["pair"]["close"]}, {False, True})


# Ballots

def check_ballots():
    v = load("ballot.json")
    ran = b"\0" + b"".join(struct.pack("<q", int(n)) for n in v["sketch"])
    findings = {"ran": ran, "fails": b"\x01", "no input": b"\x02", "abstained": b"\x03"}
    for case in v["ballots"]:
        finding = findings[case["finding"]]
        same("finding", finding, unhex(case["finding_scale"]))
        ballot = blake2(v["domain"].encode(), uint(v["audit"], 8), uint(case["stage"], 1), unhex(v["account"]),
                        unhex(v["salt"]), finding)
        same("ballot", ballot, unhex(case["ballot"]))


check_trees()
check_points()
check_sketches()
check_ballots()
print("all vectors agree")
