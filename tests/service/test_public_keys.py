"""Tokens that are verified by a configured public key (rule 15)."""

import base64
import contextlib
import hashlib
import hmac
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask

from config import Settings
from tests.support import assert_unauthorized, claims, private_key, read, token
from tests.support.apps import ASYMMETRIC, verifying


def pem(algorithm: str) -> str:
    public = private_key(algorithm).public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.fixture(scope="module")
def by_public_key(settings: Settings) -> Iterator[dict[str, Flask]]:
    """An app for each algorithm that has a public key."""
    with contextlib.ExitStack() as apps:
        yield {
            algorithm: apps.enter_context(verifying(settings, algorithm, JWT_PUBLIC_KEY=pem(algorithm)))
            for algorithm in ASYMMETRIC
        }


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_token_signed_by_the_owner_of_the_public_key_works(by_public_key: dict[str, Flask], algorithm: str) -> None:
    bearer = token(claims(), key=private_key(algorithm), algorithm=algorithm)
    assert read(by_public_key[algorithm], bearer).status_code == 200


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_token_signed_by_the_owner_of_another_key_is_refused(by_public_key: dict[str, Flask], algorithm: str) -> None:
    bearer = token(claims(), key=private_key(algorithm, "second"), algorithm=algorithm)
    assert_unauthorized(read(by_public_key[algorithm], bearer))


@pytest.mark.parametrize("other", ["RS384", "PS256", "ES256", "EdDSA", "HS256", "none"])
def test_an_algorithm_other_than_the_configured_one_is_refused(by_public_key: dict[str, Flask], other: str) -> None:
    bearer = {
        "RS384": lambda: token(claims(), key=private_key("RS256"), algorithm="RS384"),
        "PS256": lambda: token(claims(), key=private_key("RS256"), algorithm="PS256"),
        "ES256": lambda: token(claims(), key=private_key("ES256"), algorithm="ES256"),
        "EdDSA": lambda: token(claims(), key=private_key("EdDSA"), algorithm="EdDSA"),
        "HS256": lambda: token(claims()),
        "none": lambda: token(claims(), key=None, algorithm="none"),
    }[other]()
    assert_unauthorized(read(by_public_key["RS256"], bearer))


@pytest.mark.parametrize("ending", ["", "\n"], ids=["stripped", "as it is"])
@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(
    by_public_key: dict[str, Flask], algorithm: str, ending: str
) -> None:
    """The token is signed by hand, because the library refuses to do so."""
    signed = ".".join(token(claims()).split(".")[:2])
    digest = hmac.digest((pem(algorithm).strip() + ending).encode(), signed.encode(), hashlib.sha256)
    signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert_unauthorized(read(by_public_key[algorithm], f"{signed}.{signature}"))
