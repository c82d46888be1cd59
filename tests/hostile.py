"""Bodies that nobody means well with."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator

PATHS = ["/v1/predict", "/v1/encode", "/v1/explain", "/v1/map", "/v1/labels"]

_TEXTS = [
    "",
    " ",
    "\x00",
    "amber\x00bridge",
    "👩‍👩‍👧‍👦🏴‍☠️" * 50,
    "\u202e\u2066amber\u2069",
    "Z̸̢̛͔͚̯̭͓̣͗́͐a" * 30,
    "\ufeff amber",
    "\ud7ff\ue000\uffff\U0010ffff",
    "'; DROP TABLE labels; --",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "%s%n%x {0} ${jndi:ldap://x}",
    "a" * 19_999,
    "a" * 20_001,
    "ß" * 5_000,
    "\n\r\t\v\f\u2028\u2029" * 10,
    "amber bridge",
]
_VALUES = [
    "null",
    "true",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-0",
    "0.5",
    "[]",
    "{}",
    '""',
    "9" * 400,
]


def bodies(count: int, *, seed: int) -> Iterator[bytes]:
    """Some bodies, the same for a seed."""
    draw = random.Random(seed)
    for _ in range(count):
        yield draw.choice(_MAKERS)(draw)


def statuses(ask: Callable[[str, bytes], tuple[int, str]], count: int) -> Counter[int]:
    """How often some bodies, sent to all paths in turn, get each status.

    Args:
        ask: gives status and text of the answer to a body that is sent to a path.
        count: of bodies.
    """
    seen: Counter[int] = Counter()
    for number, body in enumerate(bodies(count, seed=count)):
        path = PATHS[number % len(PATHS)]
        status, text = ask(path, body)
        assert status < 500, (path, body[:200], text)
        json.loads(text)
        seen[status] += 1
    return seen


def _text(draw: random.Random) -> bytes:
    texts = draw.choices(_TEXTS, k=draw.choice([1, 2, 5, 300]))
    body = {"texts": draw.choice([texts, texts[0]]), "k": draw.choice([1, 5, 1_000, 0, -1, 2**70])}
    return json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")


def _single(draw: random.Random) -> bytes:
    body = {"text": draw.choice(_TEXTS), "label": draw.choice([0, 23, 24, -1, 2**40])}
    if draw.random() < 0.5:
        body = {"text": body["text"], "k": draw.choice([1, 200, 201])}
    return json.dumps(body).encode("utf-8", "surrogatepass")


def _surrogate(draw: random.Random) -> bytes:
    return draw.choice(
        [b'{"texts":"\\ud800"}', b'{"texts":"\xed\xa0\x80"}', b'{"texts":"\\udc00\\ud800"}']
    )


def _wrong_value(draw: random.Random) -> bytes:
    fields = ["texts", "text", "k", "threshold", "labels", "details", "side", "label", "documents"]
    pairs = [f'"{draw.choice(fields)}":{draw.choice(_VALUES)}' for _ in range(draw.randint(1, 4))]
    return ("{" + ",".join(['"texts":"amber"', *pairs]) + "}").encode()


def _deep(draw: random.Random) -> bytes:
    depth = draw.choice([10, 500, 1_100, 50_000, 400_000])
    opening, closing = draw.choice([(b"[", b"]"), (b'{"texts":', b"}"), (b'[{"a":', b"}]")])
    whole = opening * depth + b"1" + closing * depth
    cut = len(whole) if draw.random() < 0.5 else draw.randrange(len(whole))
    return draw.choice([whole[:cut], b'{"texts":' + whole[:cut] + b"}", b'{"x":' + whole[:cut]])


def _encoded(draw: random.Random) -> bytes:
    encoding = draw.choice(["utf-16", "utf-32", "latin-1", "cp1252", "utf-7", "utf-8-sig"])
    return '{"texts":"éàü bridge"}'.encode(encoding)


def _noise(draw: random.Random) -> bytes:
    return draw.randbytes(draw.choice([0, 1, 2, 30, 1_000, 60_000]))


def _damaged(draw: random.Random) -> bytes:
    good = bytearray(b'{"texts":["amber bridge","green engine"],"k":3,"details":true}')
    for _ in range(draw.randint(1, 4)):
        good[draw.randrange(len(good))] = draw.randrange(256)
    return bytes(good[: draw.randint(1, len(good))])


def _large(draw: random.Random) -> bytes:
    size = draw.choice([(1 << 20) - 20, 1 << 20, (1 << 20) + 1, 3 << 20])
    return b'{"texts":"' + b"a" * size + b'"}'


def _twice(draw: random.Random) -> bytes:
    return b'{"texts":"a","texts":{},"texts":"b"' + b',"k":1' * draw.randint(1, 2_000) + b"}"


def _ids(draw: random.Random) -> bytes:
    ids = [
        draw.choice([0, 1, 23, 24, -1, 2**31, 2**63, 10**30, 1.5])
        for _ in range(draw.randint(0, 50))
    ]
    return json.dumps({"texts": "amber", "labels": ids}).encode()


_MAKERS: list[Callable[[random.Random], bytes]] = [
    *(
        _text,
        _single,
        _surrogate,
        _wrong_value,
        _deep,
        _encoded,
        _noise,
        _damaged,
        _large,
        _twice,
        _ids,
    )
]
