"""Keys and signatures by joserfc, which shares nothing with ours but the standards.

Reads a JSON list of tasks from standard input and prints a list of answers in their order; a task that fails
answers {"error": name of the exception}. Tasks:

  {"do": "key", "curve": "Ed25519", "kid": "…"}      -> {"private": JWK, "public": JWK, "thumbprint": text}
  {"do": "thumbprint", "key": JWK}                   -> {"thumbprint": text}
  {"do": "sign", "key": JWK, "header": {…}, "payload": text} -> {"token": text}
  {"do": "verify", "key": JWK, "token": text}        -> {"header": {…}, "payload": text}
"""

import json
import sys
import warnings

from joserfc import jwk, jws
from joserfc.errors import JoseError

# Of RFC 8037's name for the algorithm, which is the one that is agreed here.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")

REGISTRY = jws.JWSRegistry(strict_check_header=False, algorithms=["EdDSA", "ES256", "HS256"])


def answer(task):
    kind = task["do"]
    if kind == "key":
        family = jwk.OKPKey if task["curve"] == "Ed25519" else jwk.ECKey
        key = family.generate_key(task["curve"], {"kid": task["kid"]})
        return {
            "private": key.as_dict(private=True),
            "public": key.as_dict(private=False),
            "thumbprint": key.thumbprint(),
        }
    key = jwk.import_key(task["key"])
    if kind == "thumbprint":
        return {"thumbprint": key.thumbprint()}
    if kind == "sign":
        return {"token": jws.serialize_compact(task["header"], task["payload"], key, registry=REGISTRY)}
    found = jws.deserialize_compact(task["token"], key, algorithms=["EdDSA"])
    return {"header": found.protected, "payload": found.payload.decode()}


def guarded(task):
    try:
        return answer(task)
    except (JoseError, ValueError) as error:
        return {"error": type(error).__name__}


print(json.dumps([guarded(task) for task in json.load(sys.stdin)]))
