"""The issuer's side of enrolment: submits keys, opens the challenge, signs it, and asks how far it is."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from issuernetwork._jose import BadKey, JweOpener, RefusedToken, json_object, open_key
from issuernetwork.tokens import AskFault, SignKey, ask

PROOF_TYPE: Final = "ein-enrol+jwt"


@dataclass(frozen=True, slots=True)
class Keys:
    """What an issuer enrols with: one key that data is sealed to, and those that it signs with."""

    public: Mapping[str, Any]
    sealing: Mapping[str, Any] = field(repr=False)
    signing: tuple[SignKey, ...] = field(repr=False)


class Enroller:
    """Talks to a network's enrolment endpoints. `iss` is the network's name in tokens and challenges."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, recipient_id: str, iss: str) -> None:
        self._session = session
        self._url = base_url.rstrip("/") + "/enrol/submissions"
        self._recipient_id = recipient_id
        self._iss = iss

    async def enrol(
        self,
        keys: Keys,
        *,
        token: str,
        endpoints: Mapping[str, str] | None = None,
        under: SignKey | None = None,
    ) -> dict[str, Any]:
        """Submits the keys and proves them; what the network says then. Raises AskFault.

        `under` is a signing key in force, where these take the place of others.

        `token` is an invitation, or an access token by a key in force; empty where a certificate says it.
        """
        given = {"jwks": keys.public, "endpoints": dict(endpoints or {})}
        made = await ask(self._session, "submitting the keys", "POST", self._url, token=token, json=given)
        claims = self._claims(made, keys)
        signing = keys.signing if under is None else (*keys.signing, under)
        # Each is good once.
        proofs = [key.sign(PROOF_TYPE, {**claims, "jti": secrets.token_hex(16)}) for key in signing]
        url = f"{self._url}/{claims['submission_id']}/proof"
        return await ask(self._session, "proving the keys", "POST", url, token=token, json={"proofs": proofs})

    async def status(self, submission_id: int, *, token: str) -> dict[str, Any]:
        """How far a submission is. Raises AskFault."""
        return await ask(self._session, "asking", "GET", f"{self._url}/{submission_id}", token=token)

    def _claims(self, made: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
        try:
            opened = open_key(keys.sealing)
            challenge = json_object(JweOpener({opened.kid: opened}).open(str(made["challenge"]).encode()))
        except (RefusedToken, BadKey, KeyError, ValueError, RecursionError):
            raise AskFault("opening the challenge", "it is not sealed to this key") from None
        nonce, number = challenge.pop("nonce", None), made.get("submission_id")
        # Nothing else is opened and sent back: only a challenge of this network about this submission.
        expected = {
            "typ": "ein-enrol-challenge", "iss": self._iss, "recipient_id": self._recipient_id,
            "submission_id": number,
        }  # fmt: skip
        if challenge != expected or not isinstance(nonce, str) or type(number) is not int:
            raise AskFault("opening the challenge", "it is not one of this network about these keys")
        return {
            "iss": self._recipient_id, "aud": self._iss, "iat": int(time.time()), "nonce": nonce,
            "submission_id": number, "thumbprints": made.get("thumbprints"),
        }  # fmt: skip


def public_set(keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A JWK Set of the public members of private JWKs."""
    hidden = ("d", "p", "q", "dp", "dq", "qi")
    return {"keys": [{name: one[name] for name in one if name not in hidden} for one in keys]}
