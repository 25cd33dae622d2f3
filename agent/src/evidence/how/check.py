# check.py: a bundle, checked by proofbundle
import base64, glob, hashlib, json, sys

from proofbundle.checkpoint import verify_checkpoint
from proofbundle.merkle import leaf_hash, verify_consistency, verify_inclusion


def fail(text):
    sys.exit("FAILED: " + text)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def hashes(texts):
    return [base64.b64decode(text, validate=True) for text in texts]


def checkpoint(path, key):
    with open(path, encoding="utf-8", newline="") as file:
        said = verify_checkpoint(file.read(), key)
    if not said["ok"] or said["origin"] != key.split("+")[0]:
        fail(path + " is not signed by this key for this ledger")
    return said["tree_size"], said["root"]


def check(key):
    manifest = load("manifest.json")
    first, end = manifest["first"], manifest["end"]
    size, root = checkpoint("checkpoint/end", key)
    if size != manifest["size"]:
        fail("the checkpoint is of %d leaves" % size)

    # Every leaf stands at its place, none is missing, and all together are in the signed tree.
    left = hashes(load("proof/range.json")["left"])
    peaks = list(zip([bit for bit in range(63, -1, -1) if first >> bit & 1], left, strict=True))
    proofs = {one["index"]: one for one in load("proof/sessions.json")["proofs"]}
    wanted, index = {}, first
    for part in sorted(glob.glob("leaves/*.jsonl")):
        with open(part, "rb") as file:
            for line in file:
                leaf = line[:-1]
                if line[-1:] != b"\n" or json.loads(leaf)["index"] != index:
                    fail("%s: leaf %d is not at its place" % (part, index))
                if index in proofs:
                    wanted[index] = leaf
                level, node = 0, leaf_hash(leaf)
                while peaks and peaks[-1][0] == level:
                    node = hashlib.sha256(b"\x01" + peaks.pop()[1] + node).digest()
                    level += 1
                peaks.append((level, node))
                index += 1
    if index != end or first >= end:
        fail("%d leaves, the manifest says %d" % (index - first, end - first))
    tree = peaks.pop()[1]
    while peaks:
        tree = hashlib.sha256(b"\x01" + peaks.pop()[1] + tree).digest()
    right = hashes(load("proof/range.json")["right"])
    if not (verify_consistency(end, size, right, tree, root) if end < size else tree == root):
        fail("the leaves are not those that were signed")

    # The proof of each session's leaf holds.
    for index, one in proofs.items():
        if not verify_inclusion(wanted.get(index, b""), index, size, hashes(one["hashes"]), root):
            fail("session %s: leaf %d is not proven" % (one["session"], index))

    # The ledger continues what was signed before the period.
    if manifest["start_size"] > 0:
        old, old_root = checkpoint("checkpoint/start", key)
        proof = hashes(load("proof/consistency.json")["hashes"]) if old < size else []
        joined = verify_consistency(old, size, proof, old_root, root) if old < size else old_root == root
        if old != manifest["start_size"] or not joined:
            fail("the ledger does not continue checkpoint/start")
    print("OK: %d leaves, %d sessions, signed by %s" % (end - first, len(proofs), key.split("+")[0]))


if len(sys.argv) != 2:
    fail("say the file with the gateway's verifier key")
with open(sys.argv[1], encoding="utf-8") as file:
    check(file.read().strip())
# check.py ends
