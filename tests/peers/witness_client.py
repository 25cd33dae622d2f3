"""A log that is not ours and asks a witness, by aics-tlog and aics-witness, which share nothing with ours but the
standards.

Reads {"url", "vkey", "origin", "seed", "heads": [[history, fork, size], …]} from standard input. Leaves are told by
their index and, from `fork` on, by the history. For each head the log grows to that size and asks; it signs whatever it
is told to. Prints {"answers": […], "shown": size}: of each head {"size"} once its cosigned note was verified by a policy
that wants this witness's fresh signature, or {"error", "status"}; and the size of the verified note that the witness
shows to monitors.
"""

import hashlib
import json
import sys
import urllib.request

from aics_tlog import (
    Checkpoint,
    MerkleTree,
    WitnessPolicy,
    parse_note,
    parse_vkey,
    sign_checkpoint,
    verify_checkpoint,
    vkey_from_ed25519,
)
from aics_witness.feeder import FeederError, WitnessClient, merge_cosignatures
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

asked = json.load(sys.stdin)
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(asked["seed"]))
origin = asked["origin"]
log_key = vkey_from_ed25519(origin, key.public_key())
witness_key = parse_vkey(asked["vkey"])
client = WitnessClient(asked["url"], witness_key, max_attempts=1)


def tree(history, fork, size):
    leaves = [f"{index} {history}" if index >= fork else str(index) for index in range(size)]
    return MerkleTree([leaf.encode() for leaf in leaves])


def verified(note):
    policy = WitnessPolicy(quorum=1, witnesses=(witness_key,), max_age_seconds=600)
    found = verify_checkpoint(parse_note(note), log_key, policy=policy, expected_origin=origin)
    if not found.ok or found.witnesses != [witness_key.name]:
        raise SystemExit(f"not cosigned: {found}\n{note}")
    return found.size


def ask(history, fork, size):
    grown = tree(history, fork, size)
    signed = sign_checkpoint(Checkpoint(origin=origin, size=size, root=grown.root()), key, origin).serialise()
    try:
        line = client.submit(signed, grown.consistency_proof)
    except FeederError as error:
        return {"error": type(error).__name__, "status": getattr(error, "status", None)}
    return {"size": verified(merge_cosignatures(signed, line))}


def shown():
    path = hashlib.sha256(origin.encode()).hexdigest()
    with urllib.request.urlopen(f"{asked['url']}/{path}/checkpoint", timeout=30) as answer:
        return verified(answer.read())


answers = [ask(*head) for head in asked["heads"]]
print(json.dumps({"answers": answers, "shown": shown()}))
