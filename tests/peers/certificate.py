"""Makes an RSA key pair and a self-signed certificate, as OPC UA wants them.

Takes one JSON argument:
  {"dir": "/tmp/…", "name": "server", "uri": "urn:…", "valid_days": [-1, 365]}

Writes dir/name.der (certificate), dir/name.pem (the same) and dir/name.key (private key, PEM), prints the
SHA-256 of the DER in hex and ends.
"""

import datetime
import hashlib
import ipaddress
import json
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

settings = json.loads(sys.argv[1])
begin, end = (datetime.timedelta(days=days) for days in settings["valid_days"])
now = datetime.datetime.now(datetime.timezone.utc)
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, settings["name"])])
names = [
    x509.UniformResourceIdentifier(settings["uri"]),
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
]
usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
certificate = (
    x509.CertificateBuilder()
    .subject_name(subject)
    .issuer_name(subject)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now + begin)
    .not_valid_after(now + end)
    .add_extension(x509.SubjectAlternativeName(names), critical=False)
    .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    .add_extension(usage, critical=True)
    .add_extension(extended, critical=False)
    .sign(key, hashes.SHA256())
)
path = pathlib.Path(settings["dir"]) / settings["name"]
der = certificate.public_bytes(serialization.Encoding.DER)
path.with_suffix(".der").write_bytes(der)
path.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
path.with_suffix(".key").write_bytes(
    key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
)
print(hashlib.sha256(der).hexdigest(), flush=True)
