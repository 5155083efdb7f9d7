"""
Forged JSON Web Tokens: what a verifier that accepts `valid_token` must refuse, one and all.

A form changes one thing of a valid token: what says how it is signed, what it is for, who made it,
for whom and when. Where the change does not break the signature by itself the token is signed
anew with the right key, so that nothing but the change can be what is noticed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

Form = tuple[str, str]


@dataclass(frozen=True)
class Signer:
    """A key and its algorithm: an RSA or EC private key, or a shared secret."""

    algorithm: str
    key: Any
    kid: str | None = None

    @property
    def public_pem(self) -> bytes:
        return bytes(
            self.key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The published form, as a JWKS has it."""
        kind = jwt.algorithms.RSAAlgorithm if self.algorithm.startswith("RS") else jwt.algorithms.ECAlgorithm
        document = {**json.loads(kind.to_jwk(self.key.public_key())), "use": "sig", "alg": self.algorithm}
        return document if self.kid is None else {**document, "kid": self.kid}

    @property
    def is_shared(self) -> bool:
        return self.algorithm.startswith("HS")


def rsa_signer(kid: str | None = "rsa-1", algorithm: str = "RS256", bits: int = 2048) -> Signer:
    return Signer(algorithm, rsa.generate_private_key(public_exponent=65537, key_size=bits), kid)


def ec_signer(kid: str | None = "ec-1", algorithm: str = "ES256", curve: Any = None) -> Signer:
    return Signer(algorithm, ec.generate_private_key(curve or ec.SECP256R1()), kid)


@dataclass(frozen=True)
class Genuine:
    """
    What a valid token is made of.

    `audience_claims` are the claims that may name the audience, `wrong_types` values of the header's
    `typ` that the verifier refuses, `required` claims it cannot do without, `leeway` the seconds it
    forgives.
    """

    header: dict[str, Any]
    claims: dict[str, Any]
    signer: Signer
    audience_claims: tuple[str, ...] = ("aud",)
    wrong_types: tuple[Any, ...] = ("refresh+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "kb+jwt", "", 5)
    required: tuple[str, ...] = ("iss", "sub", "exp", "iat")
    leeway: int = 30
    other: Signer = field(default_factory=lambda: rsa_signer("rsa-of-a-stranger"))


def encode(document: Any) -> str:
    raw = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: dict[str, Any] | bytes, claims: Any, signer: Signer, algorithm: str | None = None) -> str:
    """Sign whatever is given, however odd: a header may say another algorithm than the one used."""
    message = f"{encode(header)}.{encode(claims)}"
    worker = jwt.get_algorithm_by_name(algorithm or signer.algorithm)
    key = worker.prepare_key(signer.key)
    return f"{message}.{encode(worker.sign(message.encode(), key))}"


def valid_token(genuine: Genuine) -> str:
    """The token that the forms are changed from. A verifier that refuses it makes the corpus worthless."""
    return sign(genuine.header, genuine.claims, genuine.signer)


def forgeries(genuine: Genuine) -> Iterator[Form]:
    """Yield (name, token) for every form. None of them may be accepted."""
    yield from _without_signature(genuine)
    yield from _confused_algorithms(genuine)
    yield from _kid_tricks(genuine)
    yield from _keys_brought_along(genuine)
    yield from _critical_extensions(genuine)
    yield from _types(genuine)
    yield from _issuers(genuine)
    yield from _audiences(genuine)
    yield from _times(genuine)
    yield from _missing_claims(genuine)
    yield from _malformed(genuine)


def _without_signature(g: Genuine) -> Iterator[Form]:
    for name in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg {name!r}, no signature", f"{encode({**g.header, 'alg': name})}.{encode(g.claims)}."
    message, _, signature = valid_token(g).rpartition(".")
    yield "alg none with the old signature", f"{encode({**g.header, 'alg': 'none'})}.{encode(g.claims)}.{signature}"
    yield "no alg", f"{encode({k: v for k, v in g.header.items() if k != 'alg'})}.{encode(g.claims)}.{signature}"
    yield "alg is null", f"{encode({**g.header, 'alg': None})}.{encode(g.claims)}.{signature}"
    yield "alg is a list", f"{encode({**g.header, 'alg': [g.signer.algorithm]})}.{encode(g.claims)}.{signature}"
    yield "empty signature", f"{message}."
    yield "signature of zeros", f"{message}.{encode(bytes(len(signature) * 3 // 4))}"
    yield "signature cut short", f"{message}.{signature[:-8]}"
    yield "signature of other claims", f"{encode(g.header)}.{encode({**g.claims, 'sub': 'somebody-else'})}.{signature}"
    yield "signature of another header", f"{encode({**g.header, 'x': 1})}.{encode(g.claims)}.{signature}"


def _confused_algorithms(g: Genuine) -> Iterator[Form]:
    for secret, what in ((b"", "nothing"), (b"\x00" * 32, "zeros"), (b"secret", "the word secret")):
        yield f"HS256 with {what}", _hmac(g, secret, "sha256", "HS256")
    if not g.signer.is_shared:
        pem = g.signer.public_pem
        for algorithm, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
            yield f"{algorithm} with our public key", _hmac(g, pem, digest, algorithm)
        yield "HS256 with our public key, no last line end", _hmac(g, pem.strip(), "sha256", "HS256")
        yield "HS256 with our public key as JWK", _hmac(g, json.dumps(g.signer.public_jwk).encode(), "sha256", "HS256")
    for signer in (rsa_signer(g.signer.kid), ec_signer(g.signer.kid)):
        yield f"another {signer.algorithm} key under our kid", sign(_as(g, signer.algorithm), g.claims, signer)
    for algorithm in ("RS384", "RS512", "PS256", "ES384", "EdDSA", "ES256K", "RS1"):
        yield f"our signature called {algorithm}", _relabelled(g, algorithm)
    if g.signer.algorithm == "RS256":
        for algorithm in ("RS512", "PS256", "PS512"):
            yield f"our key used for {algorithm}", sign(_as(g, algorithm), g.claims, g.signer, algorithm)


def _kid_tricks(g: Genuine) -> Iterator[Form]:
    yield "a stranger's key and kid", sign({**_as(g, g.other.algorithm), "kid": g.other.kid}, g.claims, g.other)
    kids: list[Any] = [
        "unknown",
        "",
        "../../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "a\x00b",
        "k" * 10_000,
        7,
        None,
    ]
    kids += [["rsa-1"], {"kid": g.signer.kid}, True, "http://attacker.test/jwks.json"]
    for kid in kids:
        shown = str(kid)[:30]
        yield f"kid {shown!r}, a stranger's key", sign({**_as(g, g.other.algorithm), "kid": kid}, g.claims, g.other)
    yield "kid /dev/null, HS256 with nothing", _hmac(g, b"", "sha256", "HS256", kid="/dev/null")


def _keys_brought_along(g: Genuine) -> Iterator[Form]:
    header = _as(g, g.other.algorithm)
    jwk = g.other.public_jwk
    yield "jwk in the header", sign({**header, "jwk": jwk}, g.claims, g.other)
    yield "jwk in the header under our kid", sign({**header, "jwk": {**jwk, "kid": g.signer.kid}}, g.claims, g.other)
    yield (
        "jwk in the header, no kid",
        sign({k: v for k, v in header.items() if k != "kid"} | {"jwk": jwk}, g.claims, g.other),
    )
    for name in ("jku", "x5u"):
        yield f"{name} of a stranger", sign({**header, name: "http://attacker.test/keys"}, g.claims, g.other)
        yield f"{name} beside our own signature", sign({**g.header, name: "http://attacker.test/k"}, g.claims, g.signer)
    yield "x5c of a stranger", sign({**header, "x5c": ["MIIB"]}, g.claims, g.other)
    yield "jwk beside our own signature", sign({**g.header, "jwk": jwk}, g.claims, g.signer)


def _critical_extensions(g: Genuine) -> Iterator[Form]:
    extensions: list[Any] = [["exp"], ["b64"], ["x-unknown"], [], "exp", None, {"exp": True}]
    for crit in extensions:
        header = {**g.header, "crit": crit, "x-unknown": 1, "exp": 1}
        yield f"crit {crit!r}", sign(header, g.claims, g.signer)
    yield "crit b64 false", sign({**g.header, "crit": ["b64"], "b64": False}, g.claims, g.signer)


def _types(g: Genuine) -> Iterator[Form]:
    for name in g.wrong_types:
        yield f"typ {name!r}", sign({**g.header, "typ": name}, g.claims, g.signer)


def _issuers(g: Genuine) -> Iterator[Form]:
    issuer = str(g.claims["iss"])
    wrong: list[Any] = [
        "https://attacker.test", issuer + "/", issuer + ".attacker.test", issuer.upper(), issuer[:-1], "", None, 5,
        [issuer], {"iss": issuer}, f" {issuer}", f"{issuer}\x00", f"{issuer}#",
    ]  # fmt: skip
    for value in wrong:
        yield f"iss {value!r}", sign(g.header, {**g.claims, "iss": value}, g.signer)


def _audiences(g: Genuine) -> Iterator[Form]:
    wrong: list[Any] = ["somebody-else", ["somebody-else"], [], "", None, 5, {"aud": "x"}, [None], [["x"]]]
    for value in wrong:
        yield f"aud {value!r}", sign(g.header, {**g.claims, **dict.fromkeys(g.audience_claims, value)}, g.signer)
    none = {k: v for k, v in g.claims.items() if k not in g.audience_claims}
    yield "no audience", sign(g.header, none, g.signer)
    named = next((g.claims[name] for name in g.audience_claims if isinstance(g.claims.get(name), str)), "jan")
    for value in (named + "x", named[:-1], named.upper() + "-", f" {named}"):
        yield (
            f"aud nearly ours: {value!r}",
            sign(g.header, {**g.claims, **dict.fromkeys(g.audience_claims, value)}, g.signer),
        )


def _times(g: Genuine) -> Iterator[Form]:
    now, late = int(time.time()), g.leeway + 30
    changes: dict[str, dict[str, Any]] = {
        "expired an hour ago": {"exp": now - 3600},
        "expired beyond the leeway": {"exp": now - late},
        "exp zero": {"exp": 0},
        "exp negative": {"exp": -1},
        "exp null": {"exp": None},
        "exp a word": {"exp": "tomorrow"},
        "exp a list": {"exp": [now + 60]},
        "exp an object": {"exp": {}},
        "not yet good": {"nbf": now + 3600},
        "nbf beyond the leeway": {"nbf": now + late},
        "nbf a word": {"nbf": "yesterday"},
        "issued tomorrow": {"iat": now + 24 * 3600},
        "iat beyond the leeway": {"iat": now + late},
        "iat a word": {"iat": "now"},
        "iat null": {"iat": None},
        "iat an object": {"iat": {}},
    }
    for name, change in changes.items():
        yield name, sign(g.header, {**g.claims, **change}, g.signer)


def _missing_claims(g: Genuine) -> Iterator[Form]:
    for name in g.required:
        yield f"no {name}", sign(g.header, {k: v for k, v in g.claims.items() if k != name}, g.signer)
    for value in ("", None, 5, ["x"], {"a": 1}):
        yield f"sub {value!r}", sign(g.header, {**g.claims, "sub": value}, g.signer)
    for value in ([], "text", None, 5):
        yield f"claims are {value!r}", sign(g.header, value, g.signer)


def _malformed(g: Genuine) -> Iterator[Form]:
    token = valid_token(g)
    head, claims, signature = token.split(".")
    yield "two parts", f"{head}.{claims}"
    yield "four parts", f"{token}.{signature}"
    yield "five parts, as if encrypted", f"{head}.{claims}.{signature}.{claims}.{signature}"
    yield "header is no JSON", f"{encode(b'{alg}')}.{claims}.{signature}"
    yield "header is a list", f"{encode([g.header])}.{claims}.{signature}"
    yield "claims are no JSON", sign(g.header, b"{", g.signer)
    yield "claims are no UTF-8", sign(g.header, b'{"sub":"\xff\xfe"}', g.signer)
    yield "claims nest deeply", sign(g.header, b"[" * 20_000 + b"]" * 20_000, g.signer)
    yield "a number too large", sign(g.header, b'{"exp":1e999,"sub":"x"}', g.signer)
    yield "no base64", f"{head}.{claims}.!!!!"
    yield "only dots", ".."
    yield "signature first", f"{signature}.{claims}.{head}"
    yield "compressed, it says", sign({**g.header, "zip": "DEF"}, {"sub": "x"}, g.signer)


def _as(g: Genuine, algorithm: str) -> dict[str, Any]:
    return {**g.header, "alg": algorithm}


def _relabelled(g: Genuine, algorithm: str) -> str:
    signature = valid_token(g).rpartition(".")[2]
    return f"{encode(_as(g, algorithm))}.{encode(g.claims)}.{signature}"


def _hmac(g: Genuine, secret: bytes, digest: str, algorithm: str, **header: Any) -> str:
    message = f"{encode({**_as(g, algorithm), **header})}.{encode(g.claims)}"
    return f"{message}.{encode(hmac.new(secret, message.encode(), getattr(hashlib, digest)).digest())}"
