"""Checks the test vectors with nothing but Python's own library, following docs/protocol.md.

An implementation to read, not to use: it is slow and leaks timing. Exits with an error on the first difference.
"""

import hashlib
import hmac
import json
import pathlib

HERE = pathlib.Path(__file__).parent
VERSION, SUITE = 1, 1


def load(name):
    for folder in (HERE / "vectors", HERE.parent.parent / "proofs" / "tests" / "vectors"):
        if (folder / name).exists():
            return json.loads((folder / name).read_text())
    raise SystemExit(f"{name} is missing")


def unhex(text):
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def same(what, got, expected):
    if got != expected:
        raise SystemExit(f"{what}:\n  computed {got!r}\n  in file  {expected!r}")


def blake2(*parts):
    return hashlib.blake2b(b"".join(parts), digest_size=32).digest()


# SCALE

def uint(value, size):
    return int(value).to_bytes(size, "little")


def compact(n):
    if n < 1 << 6:
        return uint(n << 2, 1)
    if n < 1 << 14:
        return uint(n << 2 | 1, 2)
    assert n < 1 << 30
    return uint(n << 2 | 2, 4)


def data(bytes_):
    return compact(len(bytes_)) + bytes_


def vec(items):
    return compact(len(items)) + b"".join(items)


def ed25519_signature(signature):
    return b"\x00" + signature


def terms_scale(t):
    return b"".join([
        unhex(t["genesis"]), uint(t["channel"], 8), uint(t["epoch"], 4), uint(t["lane"], 2), uint(t["sequence"], 8),
        unhex(t["client"]), unhex(t["model"]), uint(t["version"], 4), unhex(t["input_hash"]),
        uint(t["max_price"], 16), unhex(t["host"]), uint(t["expires_at"], 8), unhex(t["salt"]),
    ])


def tensors_scale(tensors):
    return vec([
        data(t["name"].encode()) + uint(t["element_type"], 1) + vec([uint(n, 4) for n in t["shape"]])
        + data(unhex(t["data"]))
        for t in tensors
    ])


# Ed25519 (RFC 8032)

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point_add(a, b):
    x1, y1 = a
    x2, y2 = b
    k = D * x1 * x2 * y1 * y2
    return ((x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P)


def point_mul(n, point):
    result = (0, 1)
    while n:
        if n & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        n >>= 1
    return result


def base_point():
    y = 4 * pow(5, -1, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    return (P - x if x & 1 else x), y


BASE = base_point()


def point_bytes(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed25519_sign(seed, message):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    public = point_bytes(point_mul(scalar, BASE))
    r = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % ORDER
    point = point_bytes(point_mul(r, BASE))
    k = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % ORDER
    return public, point + ((r + k * scalar) % ORDER).to_bytes(32, "little")


# X25519 (RFC 7748), ChaCha20-Poly1305 (RFC 8439), HPKE (RFC 9180)

def x25519(scalar, point):
    k = int.from_bytes(scalar, "little") & (1 << 254) - 8 | 1 << 254
    u = int.from_bytes(point, "little") & (1 << 255) - 1
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in reversed(range(255)):
        swap = k >> bit & 1
        if swap:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
        if swap:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, -1, P) % P).to_bytes(32, "little")


def x25519_public(secret):
    return x25519(secret, uint(9, 32))


def chacha_block(key, counter, nonce):
    def rotate(v, n):
        return (v << n | v >> 32 - n) & 0xFFFFFFFF

    start = [int.from_bytes(part, "little") for part in (b"expa", b"nd 3", b"2-by", b"te k")]
    start += [int.from_bytes(key[i:i + 4], "little") for i in range(0, 32, 4)]
    start += [counter] + [int.from_bytes(nonce[i:i + 4], "little") for i in range(0, 12, 4)]
    s = list(start)
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for a, b, c, d in (columns + diagonals) * 10:
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] = rotate(s[z] ^ s[x], n)
    return b"".join(uint((x + y) & 0xFFFFFFFF, 4) for x, y in zip(s, start))


def chacha(key, nonce, bytes_):
    blocks = (chacha_block(key, 1 + i, nonce) for i in range(-(-len(bytes_) // 64)))
    return bytes(a ^ b for a, b in zip(bytes_, b"".join(blocks)))


def poly1305_tag(key, nonce, ciphertext, aad):
    def padded(bytes_):
        return bytes_ + bytes(-len(bytes_) % 16)

    one_time = chacha_block(key, 0, nonce)
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    text = padded(aad) + padded(ciphertext) + uint(len(aad), 8) + uint(len(ciphertext), 8)
    total = 0
    for i in range(0, len(text), 16):
        total = (total + int.from_bytes(text[i:i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(one_time[16:32], "little")) % 2**128).to_bytes(16, "little")


def aead_seal(key, nonce, aad, plain):
    ciphertext = chacha(key, nonce, plain)
    return ciphertext + poly1305_tag(key, nonce, ciphertext, aad)


def aead_open(key, nonce, aad, sealed):
    ciphertext, tag = sealed[:-16], sealed[-16:]
    same("tag", poly1305_tag(key, nonce, ciphertext, aad), tag)
    return chacha(key, nonce, ciphertext)


KEM = b"KEM" + (0x0020).to_bytes(2, "big")
HPKE = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (0x0020, 0x0001, 0x0003))


def extract(suite, salt, label, ikm):
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def expand(suite, prk, label, info, length):
    info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    out, block = b"", b""
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:length]


def derive_key_pair(ikm):
    secret = expand(KEM, extract(KEM, b"", b"dkp_prk", ikm), b"sk", b"", 32)
    return secret, x25519_public(secret)


def hpke_keys(shared, enc, host_public, info):
    """Key, base nonce and exporter secret in base mode."""
    secret = expand(KEM, extract(KEM, b"", b"eae_prk", shared), b"shared_secret", enc + host_public, 32)
    context = b"\x00" + extract(HPKE, b"", b"psk_id_hash", b"") + extract(HPKE, b"", b"info_hash", info)
    secret = extract(HPKE, secret, b"secret", b"")
    return [expand(HPKE, secret, label, context, n) for label, n in ((b"key", 32), (b"base_nonce", 12), (b"exp", 32))]


# Padding

CLASSES = [512] + [size for power in range(9, 24) for size in (3 << power - 1, 1 << power + 1)]
OVERHEAD = 2 + 32 + 4 + 16


def sealed_bytes(length):
    return next((size for size in CLASSES if size >= length + OVERHEAD), None)


def pad(message):
    return (uint(len(message), 4) + message).ljust(sealed_bytes(len(message)) - 2 - 32 - 16, b"\x00")


def check_crypto():
    """Appendix A.2.1 of RFC 9180: this file's own HPKE is right."""
    secret, public = derive_key_pair(bytes.fromhex("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b"))
    host_secret, host = derive_key_pair(
        bytes.fromhex("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"))
    same("pkEm", public.hex(), "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
    same("pkRm", host.hex(), "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
    key, nonce, exporter = hpke_keys(x25519(secret, host), public, host, b"Ode on a Grecian Urn")
    same("base_nonce", nonce.hex(), "5c4d98150661b848853b547f")
    same("exporter_secret", exporter.hex(), "a3b010d4994890e2c6968a36f64470d3c824c8f5029942feb11e7a74b2921922")
    same("ct", aead_seal(key, nonce, b"Count-0", b"Beauty is truth, truth beauty").hex(),
         "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28")


def check_request():
    v = load("request.json")
    terms = terms_scale(v["terms"])
    same("terms", terms, unhex(v["terms_scale"]))
    same("input hash", blake2(unhex(v["inputs_scale"])), unhex(v["terms"]["input_hash"]))
    id_ = blake2(v["domain"].encode(), terms)
    same("request id", id_, unhex(v["id"]))
    public, signature = ed25519_sign(unhex(v["client_seed"]), id_)
    same("client", public, unhex(v["terms"]["client"]))
    same("request signature", signature, unhex(v["signature_ed25519"]))
    same("signed request", terms + ed25519_signature(signature), unhex(v["signed_scale"]))
    same("other id", blake2(v["domain"].encode(), terms.replace(public, unhex(v["sr25519"]["client"]))),
         unhex(v["sr25519"]["id"]))
    return unhex(v["signed_scale"])


def check_receipt(request):
    v = load("receipt.json")
    receipt, host = unhex(v["receipt_scale"]), unhex(v["host"])
    hash_ = blake2(data(v["domain"].encode()), host, receipt)
    same("receipt hash", hash_, unhex(v["hash"]))
    public, signature = ed25519_sign(unhex(v["host_seed"]), hash_)
    same("host", public, host)
    same("receipt signature", signature, unhex(v["signature_ed25519"]))
    same("signed receipt", receipt + host + request + ed25519_signature(signature), unhex(v["signed_scale"]))
    same("output hash", blake2(unhex(v["outputs_scale"])), unhex(v["output_hash"]))
    form = load("receipt-form.json")["receipt"]
    origin = form["origin"]["request"]
    same("receipt from its JSON", receipt, b"".join([
        b"\x01", uint(origin["channel"], 8), uint(origin["epoch"], 4), uint(origin["lane"], 2),
        uint(origin["sequence"], 8), unhex(origin["request"]), unhex(form["model"]), b"\x00",
        unhex(form["input_hash"]), unhex(form["output_hash"]), b"\x01", unhex(form["probe_hash"]),
        uint(form["units"], 8), uint(form["fee"], 16),
    ]))


def check_voucher():
    v = load("voucher.json")
    voucher = b"".join([
        unhex(v["genesis"]), uint(v["channel"], 8), uint(v["epoch"], 4), uint(v["lane"], 2), uint(v["nonce"], 8),
        uint(v["cumulative"], 16), unhex(v["receipts"]),
    ])
    same("voucher", voucher, unhex(v["voucher_scale"]))
    payload = blake2(v["domain"].encode(), voucher)
    same("voucher payload", payload, unhex(v["payload"]))
    signature = ed25519_sign(unhex(v["signer_seed"]), payload)[1]
    same("voucher signature", signature, unhex(v["signature_ed25519"]))
    same("signed voucher", voucher + ed25519_signature(signature), unhex(v["signed_scale"]))
    more = v["receipts_after_one_more"]
    same("receipts", blake2(v["domain"].encode(), b"/receipts", unhex(v["receipts"]), unhex(more["receipt"])),
         unhex(more["receipts"]))
    return unhex(v["signed_scale"])


def check_padding():
    v = load("padding.json")
    same("classes", CLASSES, v["classes"])
    same("overhead", OVERHEAD, v["overhead_bytes"])
    for length in v["lengths"]:
        same("class", sealed_bytes(length["message_bytes"]), length["sealed_bytes"])


def check_refusals():
    for refusal in load("refusals.json")["refusals"]:
        same("code", unhex(refusal["scale"])[0], refusal["code"])


def check_ask(voucher):
    v = load("ask.json")
    host_secret, host_public = unhex(v["host_secret"]), unhex(v["host_public"])
    same("host key", x25519_public(host_secret), host_public)
    same("key id", blake2(host_public)[:8], unhex(v["key_id"]))

    terms, inputs = terms_scale(v["terms"]), tensors_scale(v["inputs"])
    same("input hash", blake2(inputs), unhex(v["terms"]["input_hash"]))
    id_ = blake2(b"llmesh/request/v1", terms)
    same("request id", id_, unhex(v["request"]))
    signature = ed25519_sign(unhex(v["client_seed"]), id_)[1]
    same("request signature", signature, unhex(v["request_signature_ed25519"]))
    ask = b"".join([
        terms, ed25519_signature(signature), uint(v["channel"], 8), uint(v["price"], 16), voucher, inputs,
        uint(v["progress"], 1),
    ])
    same("ask", ask, unhex(v["ask_scale"]))
    aad = unhex(v["terms"]["host"]) + unhex(v["terms"]["model"]) + id_ + uint(v["price"], 16)
    same("aad", aad, unhex(v["aad_scale"]))
    h = v["header"]
    header = b"".join([
        uint(VERSION, 1), id_, data(unhex(h["host"])), vec([data(unhex(hop)) for hop in h["path"]]),
        unhex(v["key_id"]), aad, uint(h["deadline_ms"], 4), uint(h["class"], 1), uint(h["hops_left"], 1),
    ])
    same("header", header, unhex(v["header_scale"]))

    info = b"llmesh/ask/v1" + bytes([VERSION, SUITE])
    same("info", info, unhex(v["hpke_info"]))
    aad = bytes([VERSION, SUITE]) + aad
    same("hpke aad", aad, unhex(v["hpke_aad"]))
    ephemeral, enc = derive_key_pair(unhex(v["ephemeral_ikm"]))
    key, nonce, exporter = hpke_keys(x25519(ephemeral, host_public), enc, host_public, info)
    sealed = bytes([VERSION, SUITE]) + enc + aead_seal(key, nonce, aad, pad(ask))
    same("sealed request", sealed, unhex(v["sealed"]))
    # As the host does it.
    same("keys of both ends", hpke_keys(x25519(host_secret, enc), enc, host_public, info), [key, nonce, exporter])
    same("opened request", aead_open(key, nonce, aad, sealed[34:]), pad(ask))
    return id_, terms + ed25519_signature(signature), exporter


def check_answer(id_, request, exporter):
    v = load("answer.json")
    salt = unhex(v["salt"])
    context = b"llmesh/answer/v1" + bytes([VERSION, SUITE]) + salt
    same("exporter context", context, unhex(v["exporter_context"]))
    exported = expand(HPKE, exporter, b"sec", context, 44)
    key, base = exported[:32], exported[32:]
    aad = bytes([VERSION, SUITE]) + id_
    same("aad of answers", aad, unhex(v["aad"]))
    for number, message in enumerate(v["messages"]):
        nonce = bytes(a ^ b for a, b in zip(base, number.to_bytes(12, "big")))
        sealed = bytes([VERSION, SUITE]) + salt + aead_seal(key, nonce, aad, pad(unhex(message["scale"])))
        same("sealed answer", sealed, unhex(message["sealed"]))
    same("last message", unhex(v["messages"][-1]["scale"]),
         b"\x01\x00" + unhex(v["outputs_scale"]) + unhex(v["receipt_scale"]))
    receipt = unhex(v["receipt_scale"])
    size = len(receipt) - 65 - len(request) - 32
    body, host = receipt[:size], receipt[size:size + 32]
    public, signature = ed25519_sign(unhex(v["host_seed"]), blake2(data(b"llmesh/receipt/v1"), host, body))
    same("host", public, host)
    same("receipt", receipt, body + host + request + ed25519_signature(signature))
    same("plain refusal", unhex(v["plain_refusal"])[:3], bytes([VERSION, 0, 50]))


check_crypto()
check_receipt(check_request())
check_padding()
check_refusals()
check_answer(*check_ask(check_voucher()))
print("all vectors agree")
