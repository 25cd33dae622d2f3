// Tries what the page in proto/page computes with, without a browser: node page_units.js verify.html < cases.json
// The cases are judged by another implementation, which is asked the same.
const fs = require("node:fs");

const html = fs.readFileSync(process.argv[2], "utf8");
const core = /<script id="core">([^]*?)<\/script>/.exec(html)[1];
const Lineside = new Function(`${core}; return Lineside;`)();
const { inner } = Lineside;
const cases = JSON.parse(fs.readFileSync(0, "utf8"));
const bytes = (hex) => Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));
let count = 0;
const wrong = [];
function check(name, found, expected) {
  count += 1;
  if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push(`${name}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
}
const refuses = (act) => { try { act(); return null; } catch (error) { return error.said ? error.said.en : `${error}`; } };

for (const { message, sha256, sha512 } of cases.hashes) {
  check("SHA-256", inner.hex(inner.sha256(bytes(message))), sha256);
  check("SHA-512", inner.hex(inner.sha512(bytes(message))), sha512);
}

// RFC 8032, 7.1, tests 1 to 3.
const RFC = [
  ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"],
  ["3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"],
  ["fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"],
];
const L = (1n << 252n) + 27742317777372353535851937790883648493n;
function beyond(signature) {
  let s = BigInt(`0x${signature.slice(64).match(/../g).reverse().join("")}`) + L;
  let out = signature.slice(0, 64);
  for (let i = 0; i < 32; i += 1, s >>= 8n) out += (s & 255n).toString(16).padStart(2, "0");
  return out;
}
for (const [key, message, signature] of RFC) {
  check("RFC 8032", inner.verifyOwn(bytes(key), bytes(signature), bytes(message)), true);
  check("another message", inner.verifyOwn(bytes(key), bytes(signature), bytes(`${message}00`)), false);
  check("S beyond the order", inner.verifyOwn(bytes(key), bytes(beyond(signature)), bytes(message)), false);
}
// The points of order 1, 2, 4 and 8, and ways to write them that are not canonical: anybody can sign for these.
const SMALL = ["01" + "00".repeat(31), "ec" + "ff".repeat(30) + "7f", "00".repeat(32), "00".repeat(31) + "80",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "01" + "00".repeat(30) + "80", "ec" + "ff".repeat(31), "ed" + "ff".repeat(30) + "7f", "ed" + "ff".repeat(31), "ee" + "ff".repeat(30) + "7f", "ee" + "ff".repeat(31)];
for (const key of SMALL) {
  for (const r of SMALL.slice(0, 8)) check("a key of small order", inner.verifyOwn(bytes(key), bytes(r + "00".repeat(32)), bytes("00")), false);
  check("R of small order", inner.verifyOwn(bytes(RFC[0][0]), bytes(key + RFC[0][2].slice(64)), bytes("")), false);
}
for (const { key, message, signature, fits } of cases.signatures) {
  check("a signature", inner.verifyOwn(bytes(key), bytes(signature), bytes(message)), fits);
}

for (const { text, fits } of cases.canonical) check(`canonical ${text.slice(0, 60)}`, inner.readCanonical(Buffer.from(text, "utf8")) !== undefined, fits);
for (const { text, millis } of cases.times) check(`time ${text}`, inner.time(text), millis);
for (const { text, fits } of cases.base64) check(`base64 ${text}`, inner.unbase64(text) !== null, fits);
for (const { level, index, width, path } of cases.tiles) check("a tile's path", inner.tilePath(level, index, width), path);
for (const { first, end, size, paths } of cases.edges) check(`tiles of ${first}..${end} of ${size}`, [...inner.tilesOf(first, end, size).values()].map(({ path }) => path).sort(), paths.sort());
for (const { index, size, leaf, hashes, root } of cases.inclusion) {
  const [node, proof, top] = [bytes(leaf), hashes.map(bytes), bytes(root)];
  check(`leaf ${index} of ${size}`, inner.checkInclusion(node, index, size, proof, top), true);
  check(`leaf ${index + 1} of ${size}`, inner.checkInclusion(node, index + 1, size, proof, top), false);
  check("a hash more", inner.checkInclusion(node, index, size, [...proof, node], top), false);
}
for (const { from, to, hashes, one, other } of cases.consistency) {
  const [proof, old, next] = [hashes.map(bytes), bytes(one), bytes(other)];
  check(`${from} in ${to}`, inner.checkConsistency(from, to, proof, old, next), true);
  if (from > 0 && from < to) check(`another ${from} in ${to}`, inner.checkConsistency(from, to, proof, next, next), false);
  check("a hash more", inner.checkConsistency(from, to, [...proof, old], old, next), false);
}
for (const [text, value] of [["12", 12000], ["0.5", 500], ["1.2345", 1234], ["", null], [".5", null], ["1.", null], ["-1", null], ["1e3", null], ["9".repeat(18), Number.MAX_SAFE_INTEGER], ["9".repeat(19), null]]) check(`milli ${text}`, inner.milli(text), value);

// Trust files.
for (const { text, fits } of cases.trust) check(`trust file ${text.slice(-70)}`, refuses(() => Lineside.parseTrust(text)) === null, fits);
const trusted = Lineside.parseTrust(`${cases.gateway}from = 2026-01-01 # a comment\nto = "2027-01-01T00:00:00+08:00"\n[organisations]\nown = [\n  "a", 'b', # two\n]\n`);
check("a date begins in Asia/Shanghai", trusted.gateways[0].from, Date.parse("2025-12-31T16:00:00Z"));
check("organisations", [...trusted.own], ["a", "b"]);
check("what is wrong is said with its line", refuses(() => Lineside.parseTrust("# one\n[[gatway]]\n")), "trust file, line 2: [gatway] is none of [[gateway]], [[witness]], [[issuer]], [[map]], [organisations]");

console.log(JSON.stringify({ count, wrong }));
