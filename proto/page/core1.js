"use strict";
// The verifier without its page: written from proto/EVIDENCE.md. It touches no document, so that it runs in a
// worker, in the page itself where the browser has no workers for files, and in Node for the tests.
const Lineside = (() => {
  // ---- Numbers, bytes, texts -------------------------------------------------------------------------------

  const SAFE = Number.MAX_SAFE_INTEGER;
  const HOUR = 3_600_000;
  const DAY = 24 * HOUR;
  const STATES = ["UNKNOWN", "OFF", "DOWN", "MAINT", "IDLE", "SETUP", "RUN", "HOLD"];
  const CLASSES = ["EXT", "OWN", "AFF", "TRN", "MNT", "UNB"];
  const GRADES = ["A", "B", "C", "D"];
  const CHECKS = ["bundle", "signature", "tree", "consistency", "tiles", "leaves", "period", "time", "sessions",
    "tokens", "maps", "witness", "totals"];
  const FINDINGS_MAX = 100;
  const PART = 16_384;
  const LEAF_MAX = 4096;
  // Deeper JSON is refused everywhere: no reader needs it, and each level costs stack.
  const DEPTH_MAX = 127;

  const BOUND = {
    file: 8 * 2 ** 30, entries: 100_000, manifest: 32 * 2 ** 20, note: 65_536, proof: 64 * 2 ** 20,
    part: PART * (LEAF_MAX + 1), map: 64 * 2 ** 20, maps: 256 * 2 ** 20, token: 16_384, report: 64 * 2 ** 20,
    tile: 8192, text: 2 ** 20, leaves: 2 ** 26, trust: 4 * 2 ** 20, signatures: 100, proofHashes: 65, mapsListed: 1000,
  };

  const sum = (a, b) => Math.min(a + b, SAFE);
  const half = (n) => Math.floor(n / 2);
  const isOdd = (n) => n % 2 === 1;
  const shift = (n, bits) => Math.floor(n / 2 ** bits);
  const isCount = (n) => Number.isSafeInteger(n) && n >= 0 && !Object.is(n, -0);
  const isObject = (v) => typeof v === "object" && v !== null && !Array.isArray(v);
  const isText = (v) => typeof v === "string";
  const has = (object, name) => Object.prototype.hasOwnProperty.call(object, name);
  const encoder = new TextEncoder();
  const utf8 = (text) => encoder.encode(text);
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  function decodeText(bytes) {
    try { return strict.decode(bytes); } catch { return null; }
  }
  function same(a, b) {
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
    return true;
  }
  function concat(...parts) {
    const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;
    for (const part of parts) { out.set(part, at); at += part.length; }
    return out;
  }
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  function base64(bytes) {
    let out = "";
    for (let i = 0; i < bytes.length; i += 3) {
      const group = bytes[i] << 16 | (bytes[i + 1] || 0) << 8 | (bytes[i + 2] || 0);
      out += ALPHABET[group >> 18] + ALPHABET[group >> 12 & 63]
        + (i + 1 < bytes.length ? ALPHABET[group >> 6 & 63] : "=") + (i + 2 < bytes.length ? ALPHABET[group & 63] : "=");
    }
    return out;
  }
  const VALUES = new Map(Array.from(ALPHABET, (letter, value) => [letter, value]));
  /** Standard base64 with its padding, and no bits beyond the last byte; null for anything else. */
  function unbase64(text) {
    if (!isText(text) || text.length % 4 !== 0) return null;
    const letters = text.replace(/={1,2}$/, "");
    if (text.length - letters.length > 2) return null;
    const out = new Uint8Array(Math.floor(letters.length * 6 / 8));
    let bits = 0, held = 0, at = 0;
    for (const letter of letters) {
      const value = VALUES.get(letter);
      if (value === undefined) return null;
      held = (held << 6 | value) & 0xffff;
      bits += 6;
      if (bits >= 8) { bits -= 8; out[at] = held >> bits & 255; at += 1; }
    }
    return at === out.length && (held & (1 << bits) - 1) === 0 ? out : null;
  }
  function unbase64url(text) {
    if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return null;
    const standard = text.replace(/-/g, "+").replace(/_/g, "/");
    return unbase64(standard + "=".repeat((4 - standard.length % 4) % 4));
  }

  // ---- Time ------------------------------------------------------------------------------------------------

  const TIME_MIN = -62_135_596_800_000;
  const TIME_MAX = 253_402_207_200_000;
  const digits = (text, from, to) => {
    let n = 0;
    for (let i = from; i < to; i += 1) {
      const digit = text.charCodeAt(i) - 48;
      if (digit < 0 || digit > 9) return NaN;
      n = n * 10 + digit;
    }
    return n;
  };
  const MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  function civil(year, month, day, hour, minute, second) {
    const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
    const last = MONTH[month - 1] + (month === 2 && leap ? 1 : 0);
    if (!(year >= 1 && day >= 1 && day <= last && hour <= 23 && minute <= 59 && second <= 59)) return null;
    const y = month <= 2 ? year - 1 : year;
    const era = Math.floor(y / 400);
    const yoe = y - era * 400;
    const doy = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
    const days = era * 146_097 + yoe * 365 + Math.floor(yoe / 4) - Math.floor(yoe / 100) + doy - 719_468;
    return days * DAY + hour * HOUR + minute * 60_000 + second * 1000;
  }
  /** Milliseconds of `2026-11-29T08:00:00.000Z`, which is how the ledger writes every time; null for anything else. */
  function time(text) {
    if (!isText(text) || text.length !== 24 || text[4] !== "-" || text[7] !== "-" || text[10] !== "T"
      || text[13] !== ":" || text[16] !== ":" || text[19] !== "." || text[23] !== "Z") return null;
    const base = civil(digits(text, 0, 4), digits(text, 5, 7), digits(text, 8, 10), digits(text, 11, 13),
      digits(text, 14, 16), digits(text, 17, 19));
    const millis = base === null ? NaN : base + digits(text, 20, 23);
    return millis >= TIME_MIN && millis <= TIME_MAX ? millis : null;
  }
  /** Any RFC 3339 time, as portals and trust files write them. */
  function anyTime(text) {
    const found = isText(text)
      && /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d))$/.exec(text);
    if (!found) return null;
    const n = found.map(Number);
    const base = civil(n[1], n[2], n[3], n[4], n[5], n[6]);
    if (base === null || (found[9] && (n[10] > 23 || n[11] > 59))) return null;
    const offset = found[9] ? (n[10] * HOUR + n[11] * 60_000) * (found[9] === "-" ? -1 : 1) : 0;
    const millis = base + Number(((found[7] || "") + "000").slice(0, 3)) - offset;
    return Math.min(Math.max(millis, TIME_MIN), TIME_MAX);
  }
  const said = (millis) => new Date(millis).toISOString();

  // ---- SHA-2 -----------------------------------------------------------------------------------------------

  // The constants are the fractions of the cube and square roots of the first primes (FIPS 180-4, 4.2 and 5.3).
  const primes = [];
  for (let n = 2; primes.length < 80; n += 1) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  function rootOf(value, power) {
    let low = 0n, high = 1n << 80n;
    while (high - low > 1n) {
      const mid = low + high >> 1n;
      if (mid ** power > value) high = mid; else low = mid;
    }
    return BigInt.asUintN(64, low);
  }
  const K512 = primes.map((prime) => rootOf(BigInt(prime) << 192n, 3n));
  const H512 = primes.slice(0, 8).map((prime) => rootOf(BigInt(prime) << 128n, 2n));
  const K256 = Int32Array.from(K512.slice(0, 64), (k) => Number(k >> 32n) | 0);
  const H256 = Int32Array.from(H512, (h) => Number(h >> 32n) | 0);

  const W = new Int32Array(64);
  const H = new Int32Array(8);
  function block256(bytes, at) {
    for (let i = 0; i < 16; i += 1, at += 4) {
      W[i] = bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
    }
    for (let i = 16; i < 64; i += 1) {
      const x = W[i - 15], y = W[i - 2];
      const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3;
      const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10;
      W[i] = W[i - 16] + s0 + W[i - 7] + s1 | 0;
    }
    let a = H[0], b = H[1], c = H[2], d = H[3], e = H[4], f = H[5], g = H[6], h = H[7];
    for (let i = 0; i < 64; i += 1) {
      const s1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
      const t1 = h + s1 + (e & f ^ ~e & g) + K256[i] + W[i] | 0;
      const s0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
      const t2 = s0 + (a & b ^ a & c ^ b & c) | 0;
      h = g; g = f; f = e; e = d + t1 | 0; d = c; c = b; b = a; a = t1 + t2 | 0;
    }
    H[0] += a; H[1] += b; H[2] += c; H[3] += d; H[4] += e; H[5] += f; H[6] += g; H[7] += h;
  }
  const tail = new Uint8Array(128);
  /** SHA-256, at once: a call of WebCrypto costs more than a leaf's hash. */
  function sha256(bytes) {
    H.set(H256);
    const whole = bytes.length - bytes.length % 64;
    for (let at = 0; at < whole; at += 64) block256(bytes, at);
    const rest = bytes.length - whole;
    const length = rest < 56 ? 64 : 128;
    tail.fill(0);
    tail.set(bytes.subarray(whole));
    tail[rest] = 0x80;
    const view = new DataView(tail.buffer);
    view.setUint32(length - 8, Math.floor(bytes.length / 2 ** 29));
    view.setUint32(length - 4, bytes.length * 8 >>> 0);
    for (let at = 0; at < length; at += 64) block256(tail, at);
    const out = new Uint8Array(32);
    for (let i = 0; i < 8; i += 1) {
      out[4 * i] = H[i] >>> 24; out[4 * i + 1] = H[i] >>> 16; out[4 * i + 2] = H[i] >>> 8; out[4 * i + 3] = H[i];
    }
    return out;
  }
  const subtle = () => (typeof crypto === "object" && crypto && crypto.subtle) || null;
  /** SHA-256 of something long, by the browser's own means where it has them. */
  async function digest(bytes) {
    const own = subtle();
    return own && bytes.length > 4096 ? new Uint8Array(await own.digest("SHA-256", bytes)) : sha256(bytes);
  }

  const U64 = (n) => BigInt.asUintN(64, n);
  const turn = (x, n) => U64(x >> n | x << 64n - n);
  function sha512(bytes) {
    const length = Math.ceil((bytes.length + 17) / 128) * 128;
    const padded = new Uint8Array(length);
    padded.set(bytes);
    padded[bytes.length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setBigUint64(length - 8, BigInt(bytes.length) * 8n);
    const state = H512.slice();
    const w = [];
    for (let at = 0; at < length; at += 128) {
      for (let i = 0; i < 16; i += 1) w[i] = view.getBigUint64(at + 8 * i);
      for (let i = 16; i < 80; i += 1) {
        const x = w[i - 15], y = w[i - 2];
        w[i] = U64(w[i - 16] + (turn(x, 1n) ^ turn(x, 8n) ^ x >> 7n) + w[i - 7] + (turn(y, 19n) ^ turn(y, 61n) ^ y >> 6n));
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 80; i += 1) {
        const t1 = h + (turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n)) + (e & f ^ (e ^ U64(-1n)) & g) + K512[i] + w[i];
        const t2 = (turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n)) + (a & b ^ a & c ^ b & c);
        h = g; g = f; f = e; e = U64(d + t1); d = c; c = b; b = a; a = U64(t1 + t2);
      }
      [a, b, c, d, e, f, g, h].forEach((value, i) => { state[i] = U64(state[i] + value); });
    }
    const out = new Uint8Array(64);
    const words = new DataView(out.buffer);
    state.forEach((word, i) => words.setBigUint64(8 * i, word));
    return out;
  }

  // ---- Ed25519 (RFC 8032), strictly ------------------------------------------------------------------------

  const P = (1n << 255n) - 19n;
  const L = (1n << 252n) + 27742317777372353535851937790883648493n;
  const mod = (n, m = P) => { const rest = n % m; return rest < 0n ? rest + m : rest; };
  function power(base, exponent) {
    let out = 1n;
    for (let e = exponent, b = mod(base); e > 0n; e >>= 1n, b = b * b % P) if (e & 1n) out = out * b % P;
    return out;
  }
  const inverse = (n) => power(n, P - 2n);
  const D = mod(-121665n * inverse(121666n));
  const ROOT = power(2n, (P - 1n) / 4n);
  const IDENTITY = [0n, 1n, 1n, 0n];
  const number = (bytes) => {
    let out = 0n;
    for (let i = bytes.length - 1; i >= 0; i -= 1) out = out << 8n | BigInt(bytes[i]);
    return out;
  };
  /** A point from its 32 bytes; null for what is no point, or not written as every point is. */
  function point(bytes) {
    if (bytes.length !== 32) return null;
    const all = number(bytes);
    const sign = all >> 255n;
    const y = all & (1n << 255n) - 1n;
    if (y >= P) return null;
    const u = mod(y * y - 1n);
    const v = mod(D * y * y + 1n);
    const v3 = v * v % P * v % P;
    let x = u * v3 % P * power(u * v3 % P * v3 % P * v % P, (P - 5n) / 8n) % P;
    const check = v * x % P * x % P;
    if (check === mod(-u)) x = x * ROOT % P; else if (check !== u) return null;
    if (x === 0n && sign === 1n) return null;
    if ((x & 1n) !== sign) x = mod(-x);
    return [x, y, 1n, x * y % P];
  }
  function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
    const a = mod((y1 - x1) * (y2 - x2));
    const b = (y1 + x1) * (y2 + x2) % P;
    const c = 2n * D * t1 % P * t2 % P;
    const d = 2n * z1 * z2 % P;
    const e = b - a, f = d - c, g = d + c, h = b + a;
    return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
  }
  function double([x, y, z]) {
    const a = x * x % P;
    const b = y * y % P;
    const h = a + b;
    const e = h - (x + y) ** 2n % P;
    const g = a - b;
    const f = 2n * z * z % P + g;
    return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
  }
  const isSmall = (p) => {
    const [x, y, z] = double(double(double(p)));
    return x === 0n && y === z;
  };
  const BASE = point(Uint8Array.from([0x58, ...Array(31).fill(0x66)]));
  function encodePoint([x, y, z]) {
    const over = inverse(z);
    let all = y * over % P | (x * over % P & 1n) << 255n;
    const out = new Uint8Array(32);
    for (let i = 0; i < 32; i += 1, all >>= 8n) out[i] = Number(all & 255n);
    return out;
  }
  /** [s]B + [h]A, two bits of both at a time. */
  function combine(s, h, A) {
    const table = [];
    for (let i = 0, row = IDENTITY; i < 4; i += 1, row = add(row, BASE)) {
      for (let j = 0, cell = row; j < 4; j += 1, cell = add(cell, A)) table.push(cell);
    }
    let out = IDENTITY;
    for (let bit = 252n; bit >= 0n; bit -= 2n) {
      out = double(double(out));
      const at = Number((s >> bit & 3n) << 2n | h >> bit & 3n);
      if (at > 0) out = add(out, table[at]);
    }
    return out;
  }
  /** Whether key and signature may be used at all: points that anybody could sign for, and numbers and points that
   *  can be written in two ways, are refused before anything else is looked at. */
  function admits(key, signature) {
    if (key.length !== 32 || signature.length !== 64 || number(signature.subarray(32)) >= L) return false;
    const A = point(key), R = point(signature.subarray(0, 32));
    return A !== null && R !== null && !isSmall(A) && !isSmall(R);
  }
  function verifyOwn(key, signature, message) {
    if (!admits(key, signature)) return false;
    const R = signature.subarray(0, 32);
    const h = number(sha512(concat(R, key, message))) % L;
    const [x, y, z, t] = point(key);
    return same(encodePoint(combine(number(signature.subarray(32)), h, [mod(-x), y, z, mod(-t)])), R);
  }

  // The browser's own Ed25519 is ten times as fast. It is used where it gives the right answers to a good and to a
  // changed signature (RFC 8032, 7.1, test 3), and only for what `admits` lets through.
  const bytesOf = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
  const TRIED = [
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ];
  async function verifyFast(key, signature, message) {
    const own = subtle();
    const held = await own.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    return own.verify({ name: "Ed25519" }, held, signature, message);
  }
  let fast = null;
  function isFast() {
    fast = fast || (async () => {
      try {
        const [key, message, signature] = TRIED.map(bytesOf);
        return await verifyFast(key, signature, message) === true
          && await verifyFast(key, signature, Uint8Array.of(1)) === false;
      } catch { return false; }
    })();
    return fast;
  }
  async function verifySignature(key, signature, message) {
    if (!admits(key, signature)) return false;
    if (!await isFast()) return verifyOwn(key, signature, message);
    try { return await verifyFast(key, signature, message); } catch { return verifyOwn(key, signature, message); }
  }

  // ---- The tree (RFC 6962, proofs as in RFC 9162) ----------------------------------------------------------

  const scratch = new Uint8Array(LEAF_MAX + 1);
  function leafHash(bytes) {
    if (bytes.length > LEAF_MAX) return sha256(concat(Uint8Array.of(0), bytes));
    scratch[0] = 0;
    scratch.set(bytes, 1);
    return sha256(scratch.subarray(0, bytes.length + 1));
  }
  const pair = new Uint8Array(65);
  pair[0] = 1;
  function nodeHash(left, right) {
    pair.set(left, 1);
    pair.set(right, 33);
    return sha256(pair);
  }
  /** The perfect subtrees that the first `size` leaves make up, the largest first: their level and place. */
  function peaksOf(size) {
    const out = [];
    for (let level = 52; level >= 0; level -= 1) {
      if (isOdd(shift(size, level))) out.push([level, shift(size, level) - 1]);
    }
    return out;
  }
  const foldPeaks = (peaks) => (peaks.length === 0 ? sha256(new Uint8Array(0))
    : peaks.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), peaks[peaks.length - 1]));

  class Range {
    constructor(size, peaks) { this.size = size; this.peaks = peaks.slice(); }
    /** Appends a leaf's hash; tells `seen` of each node that is complete now. */
    push(leaf, seen) {
      let level = 0, index = this.size, node = leaf;
      while (isOdd(index) && this.peaks.length > 0) {
        node = nodeHash(this.peaks.pop(), node);
        level += 1;
        index = half(index);
        if (level % 8 === 0) seen(level, index, node);
      }
      this.peaks.push(node);
      this.size += 1;
    }
    root() { return foldPeaks(this.peaks); }
  }

  function checkInclusion(leaf, index, size, hashes, root) {
    if (index >= size || hashes.length > BOUND.proofHashes) return false;
    let place = index, last = size - 1, node = leaf;
    for (const hash of hashes) {
      if (last === 0) return false;
      if (isOdd(place) || place === last) {
        node = nodeHash(hash, node);
        while (!isOdd(place) && place !== 0) { place = half(place); last = half(last); }
      } else {
        node = nodeHash(node, hash);
      }
      place = half(place);
      last = half(last);
    }
    return last === 0 && same(node, root);
  }
  function checkConsistency(from, to, hashes, fromRoot, toRoot) {
    if (from > to || hashes.length > BOUND.proofHashes) return false;
    if (from === to || from === 0) return hashes.length === 0 && (from === 0 || same(fromRoot, toRoot));
    let place = from - 1, last = to - 1;
    while (isOdd(place)) { place = half(place); last = half(last); }
    const isPower = peaksOf(from).length === 1;
    if (!isPower && hashes.length === 0) return false;
    let one = isPower ? fromRoot : hashes[0];
    let other = one;
    for (const hash of isPower ? hashes : hashes.slice(1)) {
      if (last === 0) return false;
      if (isOdd(place) || place === last) {
        one = nodeHash(hash, one);
        other = nodeHash(hash, other);
        while (!isOdd(place) && place !== 0) { place = half(place); last = half(last); }
      } else {
        other = nodeHash(other, hash);
      }
      place = half(place);
      last = half(last);
    }
    return last === 0 && same(one, fromRoot) && same(other, toRoot);
  }

  /** The hash tiles that a bundle must hold, as `level/index` to path and width. */
  function tilesOf(first, end, size) {
    const out = new Map();
    for (let level = 0; level < 7; level += 1) {
      const count = shift(size, 8 * level);
      if (count === 0) break;
      const last = Math.floor((count - 1) / 256);
      const put = (index) => {
        const width = Math.min(count - index * 256, 256);
        out.set(`${level}/${index}`, { level, index, width, path: tilePath(level, index, width) });
      };
      if (level === 0) {
        if (end < size && count % 256 !== 0) put(last);
        continue;
      }
      if (first < end) {
        const to = Math.min(Math.floor(shift(end - 1, 8 * level) / 256), last);
        for (let index = Math.floor(shift(first, 8 * level) / 256); index <= to; index += 1) put(index);
      }
      put(last);
    }
    return out;
  }
  function tilePath(level, index, width) {
    let name = String(index % 1000).padStart(3, "0");
    for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
      name = `x${String(rest % 1000).padStart(3, "0")}/${name}`;
    }
    return `tile/${level}/${name}${width < 256 ? `.p/${width}` : ""}`;
  }
