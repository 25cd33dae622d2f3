
  // ---- What is said ----------------------------------------------------------------------------------------

  /** Something for people, in both languages. */
  const S = (en, zh) => ({ en, zh });
  /** A name out of a bundle: cut short, since whoever made the bundle chose it, and what does not print shown. */
  function named(text) {
    const shown = String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");
    return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
  }

  /** A file that is not what it must be, and what to tell. */
  class Fault extends Error {
    constructor(en, zh) { super(en); this.said = S(en, zh); }
  }

  class Findings {
    constructor() {
      this.of = new Map(CHECKS.map((check) => [check, { check, status: "ok", said: [], found: 0 }]));
    }
    tell(check, status, en, zh) {
      const result = this.of.get(check);
      // What fails is told before what is only worth knowing.
      if (status === "failed" && result.status !== "failed") { result.said = []; result.found = 0; }
      if (status === "note" && result.status === "failed") return;
      result.status = status;
      result.found += 1;
      if (result.said.length < FINDINGS_MAX) result.said.push(S(en, zh));
    }
    fail(check, en, zh) { this.tell(check, "failed", en, zh); }
    note(check, en, zh) { this.tell(check, "note", en, zh); }
    skip(...checks) {
      for (const check of checks) if (this.of.get(check).status !== "failed") this.fail(check, "not run", "未执行");
    }
    isSound(check) { return this.of.get(check).status !== "failed"; }
  }

  // ---- The zip file ----------------------------------------------------------------------------------------

  const broken = (en, zh) => new Fault(`no zip file, or a damaged one: ${en}`, `不是 zip 文件，或文件已损坏：${zh}`);

  async function readAt(file, from, length) {
    if (from < 0 || from + length > file.size) throw broken("it breaks off", "内容不完整");
    return new Uint8Array(await file.slice(from, from + length).arrayBuffer());
  }
  const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  function wide(data, at) {
    const n = data.getBigUint64(at, true);
    return n > BigInt(SAFE) ? SAFE : Number(n);
  }

  async function findDirectory(file) {
    const none = broken("it has no directory", "没有目录");
    const reach = Math.min(file.size, 22 + 20 + 65_535);
    const bytes = await readAt(file, file.size - reach, reach);
    const data = view(bytes);
    let at = bytes.length - 22;
    while (at >= 0 && !(data.getUint32(at, true) === 0x06054b50 && at + 22 + data.getUint16(at + 20, true) === bytes.length)) at -= 1;
    if (at < 0) throw none;
    const before = file.size - reach + at;
    const found = { count: data.getUint16(at + 10, true), bytes: data.getUint32(at + 12, true), offset: data.getUint32(at + 16, true), before };
    if (found.count !== 0xffff && found.bytes !== 0xffffffff && found.offset !== 0xffffffff) {
      if (data.getUint16(at + 4, true) !== 0 || data.getUint16(at + 6, true) !== 0 || data.getUint16(at + 8, true) !== found.count) {
        throw broken("it is one of several parts", "它是分卷文件之一");
      }
      return found;
    }
    if (at < 20) throw none;
    const place = wide(data, at - 12);
    const bad = broken("its zip64 directory is not where it says", "zip64 目录不在其声明的位置");
    if (data.getUint32(at - 20, true) !== 0x07064b50 || place + 76 !== before) throw bad;
    const record = view(await readAt(file, place, 56));
    if (record.getUint32(0, true) !== 0x06064b50 || wide(record, 4) !== 44 || record.getUint32(16, true) !== 0
      || record.getUint32(20, true) !== 0 || wide(record, 24) !== wide(record, 32)) throw bad;
    return { count: wide(record, 32), bytes: wide(record, 40), offset: wide(record, 48), before: place };
  }

  const isPlain = (flags) => (flags & 0x2061) === 0;
  async function openZip(file) {
    if (file.size > BOUND.file) throw new Fault(`the file has ${file.size} bytes, of ${BOUND.file} at most`, `文件有 ${file.size} 字节，上限 ${BOUND.file}`);
    const found = await findDirectory(file);
    if (found.count > BOUND.entries) throw new Fault(`${found.count} entries, of ${BOUND.entries} at most`, `${found.count} 个条目，上限 ${BOUND.entries}`);
    if (found.bytes > BOUND.entries * 256 || found.offset + found.bytes !== found.before) {
      throw broken("its directory is not where it says", "目录不在其声明的位置");
    }
    const bytes = await readAt(file, found.offset, found.bytes);
    const data = view(bytes);
    const entries = new Map();
    let at = 0, total = 0;
    for (let i = 0; i < found.count; i += 1) {
      const cut = broken("its directory breaks off", "目录不完整");
      if (at + 46 > bytes.length || data.getUint32(at, true) !== 0x02014b50) throw cut;
      const [nameLength, extraLength, commentLength] = [28, 30, 32].map((place) => data.getUint16(at + place, true));
      const end = at + 46 + nameLength + extraLength + commentLength;
      if (end > bytes.length) throw cut;
      const raw = bytes.subarray(at + 46, at + 46 + nameLength);
      const name = decodeText(raw);
      const bad = (en, zh) => new Fault(`${named(name)}: ${en}`, `${named(name)}：${zh}`);
      if (name === null) throw broken("a name that is no text", "条目名称不是文本");
      const method = data.getUint16(at + 10, true);
      if (!isPlain(data.getUint16(at + 8, true))) throw bad("is encrypted", "已加密");
      if (method !== 0 && method !== 8) throw bad("is neither stored nor deflated", "既非存储也非 deflate 压缩");
      const extra = wideField(data, at + 46 + nameLength, extraLength);
      const field = (place) => {
        const short = data.getUint32(at + place, true);
        if (short !== 0xffffffff) return short;
        if (extra.at + 8 > extra.end) throw bad("lacks its zip64 lengths", "缺少 zip64 长度");
        extra.at += 8;
        return wide(data, extra.at - 8);
      };
      const length = field(24), packed = field(20), offset = field(42);
      total += packed + 30;
      if (offset >= found.offset || total > found.offset) throw bad("overlaps another entry", "与其他条目重叠");
      if (method === 0 && packed !== length) throw bad("has two lengths", "有两个长度");
      if (entries.has(name)) throw bad("is there twice", "出现两次");
      entries.set(name, { name, raw, method, offset, packed, length });
      at = end;
    }
    if (at !== bytes.length) throw broken("its directory has more entries than it says", "目录条目多于其声明");
    return { file, entries, directory: found.offset };
  }
  /** Where the numbers of the zip64 extra field stand. */
  function wideField(data, from, length) {
    let at = from;
    while (at + 4 <= from + length) {
      const end = at + 4 + data.getUint16(at + 2, true);
      if (end > from + length) break;
      if (data.getUint16(at, true) === 1) return { at: at + 4, end };
      at = end;
    }
    return { at: 0, end: 0 };
  }

  const canInflate = () => {
    try { return new DecompressionStream("deflate-raw") !== null; } catch { return false; }
  };

  /** An entry's bytes, inflated: never more than `length`, which the manifest says and the bound of its kind allows. */
  async function inflate(zip, name, length, tick) {
    const entry = zip.entries.get(name);
    const bad = (en, zh) => new Fault(`${named(name)}: ${en}`, `${named(name)}：${zh}`);
    if (entry.packed > entry.length + entry.length / 1024 + 1024) throw bad("takes more bytes than deflating it could give", "压缩后的字节多于可能值");
    const header = await readAt(zip.file, entry.offset, 30);
    const data = view(header);
    const nameLength = data.getUint16(26, true);
    const from = entry.offset + 30 + nameLength + data.getUint16(28, true);
    const written = await readAt(zip.file, entry.offset + 30, nameLength);
    if (data.getUint32(0, true) !== 0x04034b50 || data.getUint16(8, true) !== entry.method || !isPlain(data.getUint16(6, true))
      || !same(written, entry.raw)) throw bad("is another entry where it stands", "所在位置是另一条目");
    if (from + entry.packed > zip.directory) throw bad("reaches into the directory", "伸入目录区");
    const wrong = bad(`has another length than the manifest's ${length}`, `长度与清单所述 ${length} 不符`);
    if (entry.method === 0) {
      if (entry.packed !== length) throw wrong;
      return readAt(zip.file, from, length);
    }
    if (!canInflate()) {
      throw bad("is compressed, and this browser can't inflate it: use Chromium or Edge 103, Firefox 113, or newer",
        "已压缩，而此浏览器无法解压：请使用 Chromium 或 Edge 103、Firefox 113 或更新版本");
    }
    const out = new Uint8Array(length);
    let at = 0;
    const reader = zip.file.slice(from, from + entry.packed).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        if (at + value.length > length) throw wrong;
        out.set(value, at);
        at += value.length;
        tick(value.length);
      }
    } catch (error) {
      reader.cancel().catch(() => {});
      if (error instanceof Fault) throw error;
      throw bad("can't be inflated: it is damaged", "无法解压：已损坏");
    }
    if (at !== length) throw wrong;
    return out;
  }

  // ---- JSON ------------------------------------------------------------------------------------------------

  /** JSON of bounded depth; undefined for what is none. */
  function parseJson(bytes) {
    const text = decodeText(bytes);
    if (text === null || !isShallow(text)) return undefined;
    try { return JSON.parse(text); } catch { return undefined; }
  }
  function isShallow(text) {
    let depth = 0, quoted = false;
    for (let i = 0; i < text.length; i += 1) {
      const letter = text.charCodeAt(i);
      if (quoted) {
        if (letter === 92) i += 1; else if (letter === 34) quoted = false;
      } else if (letter === 34) quoted = true;
      else if (letter === 91 || letter === 123) { depth += 1; if (depth > DEPTH_MAX) return false; }
      else if (letter === 93 || letter === 125) depth -= 1;
    }
    return true;
  }

  const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?:[^\ud800-\udbff]|^)[\udc00-\udfff]/;
  /** The canonical text of a value made of integers, texts, null, lists and objects; throws for others. */
  function canonical(value) {
    if (value === null) return "null";
    if (typeof value === "number") {
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new RangeError("no integer of 53 bits");
      return String(value);
    }
    if (isText(value)) {
      if (LONE.test(value)) throw new RangeError("half a character");
      return JSON.stringify(value);
    }
    if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
    if (!isObject(value)) throw new RangeError("true and false are not used");
    // Texts compare by UTF-16 units here, as RFC 8785 wants it.
    return `{${Object.keys(value).sort().map((name) => `${canonical(name)}:${canonical(value[name])}`).join(",")}}`;
  }
  function isSorted(value) {
    if (typeof value !== "object" || value === null) {
      return value === null || (typeof value === "number" ? Number.isSafeInteger(value) : typeof value === "string");
    }
    if (Array.isArray(value)) return value.every(isSorted);
    let before = null;
    for (const name of Object.keys(value)) {
      if ((before !== null && name <= before) || !isSorted(value[name])) return false;
      before = name;
    }
    return true;
  }
  /** What canonical bytes say; undefined for what is not canonical. */
  function readCanonical(bytes) {
    const text = decodeText(bytes);
    if (text === null || !isShallow(text)) return undefined;
    let value;
    try { value = JSON.parse(text); } catch { return undefined; }
    // Most leaves: in order already, so that writing them again is the browser's work.
    if (!text.includes("\\ud") && isSorted(value)) return JSON.stringify(value) === text ? value : undefined;
    try { return canonical(value) === text ? value : undefined; } catch { return undefined; }
  }

  // ---- Keys, notes, tokens ---------------------------------------------------------------------------------

  const isKeyName = (name) => name.length > 0 && !/[\s\u0085+]/.test(name);
  function keyId(name, kind, key) {
    return sha256(concat(utf8(`${name}\n`), Uint8Array.of(kind), key)).slice(0, 4);
  }
  /** A C2SP verifier key: `name+hash+key`. */
  function verifierKey(text) {
    const found = isText(text) && /^([^+]*)\+([0-9a-f]{8})\+(.+)$/.exec(text);
    const raw = found && unbase64(found[3]);
    if (!raw || raw.length !== 33 || !isKeyName(found[1])) throw new Fault("no verifier key: it is written name+hash+key", "不是验证公钥：应写作 名称+散列+公钥");
    const [kind, key] = [raw[0], raw.slice(1)];
    if (kind !== 1 && kind !== 4) throw new Fault(`the verifier key of ${named(found[1])} is of a kind that is not known here`, `${named(found[1])} 的验证公钥类型未知`);
    if (hex(keyId(found[1], kind, key)) !== found[2]) throw new Fault(`the hash in the verifier key of ${named(found[1])} does not fit its name and key`, `${named(found[1])} 的验证公钥散列与其名称和公钥不符`);
    if (point(key) === null) throw new Fault(`the verifier key of ${named(found[1])} is no Ed25519 key`, `${named(found[1])} 的验证公钥不是 Ed25519 公钥`);
    return { text, name: found[1], id: found[2], kind, key };
  }

  const noNote = () => new Fault("no signed note: a text, an empty line, and signature lines", "不是签名存证：应为正文、空行和签名行");
  /** A C2SP signed note. */
  function parseNote(bytes) {
    const text = bytes.length > BOUND.note ? null : decodeText(bytes);
    if (text === null || /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text)) throw noNote();
    const cut = text.lastIndexOf("\n\n");
    if (cut < 0 || !text.endsWith("\n") || text.length === cut + 2) throw noNote();
    const lines = text.slice(cut + 2, -1).split("\n");
    if (lines.length > BOUND.signatures) throw noNote();
    const signatures = lines.map((line) => {
      const found = /^\u2014 ([^ ]+) ([^ ]+)$/.exec(line);
      const raw = found && unbase64(found[2]);
      if (!raw || raw.length < 5 || !isKeyName(found[1])) throw noNote();
      return { name: found[1], id: hex(raw.subarray(0, 4)), bytes: raw.slice(4) };
    });
    return { text: text.slice(0, cut + 1), signatures };
  }
  /** A C2SP checkpoint of three lines. */
  function parseCheckpoint(text) {
    const lines = text.slice(0, -1).split("\n");
    const [origin, size, root64] = lines;
    const root = lines.length === 3 ? unbase64(root64) : null;
    if (!root || root.length !== 32 || origin === "" || !/^(0|[1-9]\d*)$/.test(size) || !isCount(Number(size))) {
      throw new Fault("no checkpoint: three lines with origin, size and root", "不是存证点：应为来源、大小、根散列三行");
    }
    return { origin, size: Number(size), root, root64 };
  }
  /** The keys of these whose signatures are on a note, with the time of cosignatures. A signature that names one of
   *  them and does not fit is told by `bad`. */
  async function signers(note, keys, bad) {
    const out = [];
    for (const signature of note.signatures) {
      const key = keys.find((known) => known.name === signature.name && known.id === signature.id);
      if (!key) continue;
      let message = utf8(note.text), bytes = signature.bytes, at = null, fits = true;
      if (key.kind === 4) {
        fits = bytes.length === 72;
        const seconds = fits ? view(bytes).getBigUint64(0) : 0n;
        fits = fits && seconds <= BigInt(TIME_MAX) / 1000n;
        at = Number(seconds) * 1000;
        message = utf8(`cosignature/v1\ntime ${seconds}\n${note.text}`);
        bytes = bytes.subarray(8);
      }
      if (fits && bytes.length === 64 && await verifySignature(key.key, bytes, message)) {
        if (!out.some((other) => other.key === key)) out.push({ key, at });
      } else {
        bad(key);
      }
    }
    return out;
  }

  /** An Ed25519 public key as a JSON Web Key. */
  function issuerKey(text) {
    const jwk = isText(text) ? parseJson(utf8(text)) : undefined;
    if (!isObject(jwk)) throw new Fault("no JSON Web Key", "不是 JSON Web Key");
    if (jwk.kty !== "OKP" || jwk.crv !== "Ed25519") throw new Fault("a key of another kind than Ed25519", "不是 Ed25519 公钥");
    const fits = (value, words) => value === undefined || value === null || words.includes(value);
    if (!fits(jwk.alg, ["EdDSA", "Ed25519"]) || !fits(jwk.use, ["sig"])
      || !(jwk.key_ops === undefined || jwk.key_ops === null || (Array.isArray(jwk.key_ops) && jwk.key_ops.includes("verify")))) {
      throw new Fault("a key for another purpose than signatures", "该密钥不是用于签名");
    }
    if (has(jwk, "d")) throw new Fault("a private key: \"d\" must never leave whoever issues tokens", "这是私钥：\"d\" 绝不可离开签发方");
    const key = isText(jwk.x) ? unbase64url(jwk.x) : null;
    const place = key && point(key);
    if (!place || isSmall(place)) throw new Fault("no public key in \"x\"", "\"x\" 中没有公钥");
    const { kid } = jwk;
    if (kid === undefined || kid === null) {
      const print = sha256(utf8(`{"crv":"Ed25519","kty":"OKP","x":"${jwk.x}"}`));
      return { kid: base64(print).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, ""), key };
    }
    if (!isText(kid) || !/^[\x21-\x7e]{1,128}$/.test(kid)) throw new Fault("a \"kid\" of 1 to 128 printable ASCII characters is needed", "\"kid\" 须为 1 到 128 个可打印 ASCII 字符");
    return { kid, key };
  }

  const isName = (v) => isText(v) && /^[a-z0-9][a-z0-9_-]{0,62}$/.test(v);
  /** A booking token: what it claims, and what its signature is over. */
  function parseToken(bytes) {
    const none = new Fault("is no compact JWS: three parts in base64url without padding, joined by dots", "不是紧凑 JWS：应为三段无填充的 base64url，以点相连");
    const text = decodeText(bytes);
    const parts = text === null ? [] : text.split(".");
    const [header64, payload64, signature] = parts.length === 3 ? [parts[0], parts[1], unbase64url(parts[2])] : [];
    const [rawHeader, rawPayload] = parts.length === 3 ? [unbase64url(header64), unbase64url(payload64)] : [];
    if (!signature || !rawHeader || !rawPayload) throw none;
    const header = parseJson(rawHeader);
    if (!isObject(header)) throw new Fault("has a header that is no object", "头部不是对象");
    if (header.alg !== "EdDSA") throw new Fault("is signed by another algorithm than EdDSA, or by none", "签名算法不是 EdDSA，或未签名");
    const isBare = Object.keys(header).every((name) => ["alg", "kid", "typ"].includes(name));
    if (!isBare || !isText(header.kid) || !(header.typ === undefined || header.typ === null || isText(header.typ))) {
      throw new Fault("has a header that is not exactly {\"alg\":\"EdDSA\",\"kid\":…}", "头部不是 {\"alg\":\"EdDSA\",\"kid\":…}");
    }
    const said = parseJson(rawPayload);
    const isMaybe = (v) => v === undefined || v === null || isText(v);
    const fits = isObject(said) && isName(said.site) && isName(said.gateway) && isText(said.id) && Array.isArray(said.machines)
      && said.machines.every(isName) && CLASSES.includes(said.class) && anyTime(said.start) !== null && anyTime(said.end) !== null
      && isMaybe(said.org) && isMaybe(said.org_kind) && Number.isSafeInteger(said.iat);
    if (!fits) throw new Fault("claims no booking: a field is missing or has another form", "不是预约声明：缺少字段或格式不符");
    return { kid: header.kid, claims: said, signature, message: utf8(`${header64}.${payload64}`) };
  }

  // ---- The trust file --------------------------------------------------------------------------------------

  const FIELDS = {
    gateway: ["site", "gateway", "origin", "key", "from", "to"], witness: ["key", "from", "to"], issuer: ["jwk", "from", "to"],
    map: ["site", "gateway", "machine", "hash"], organisations: ["own", "affiliates"],
  };
  const ESCAPES = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", "\"": "\"", "\\": "\\" };

  /** A time of a trust file: RFC 3339, or a date, which means its first moment in Asia/Shanghai. */
  const trustTime = (text) => anyTime(text.length === 10 ? `${text}T00:00:00+08:00` : text);

  /** Reads TOML as far as trust files use it: tables, strings, lists of strings, dates and times. */
  class Toml {
    constructor(text) { this.text = text.replace(/\r\n/g, "\n").replace(/^\ufeff/, ""); this.at = 0; }
    fail(en, zh) {
      const line = this.text.slice(0, this.at).split("\n").length;
      return new Fault(`trust file, line ${line}: ${en}`, `信任文件第 ${line} 行：${zh}`);
    }
    match(pattern) {
      pattern.lastIndex = this.at;
      const found = pattern.exec(this.text);
      if (found) this.at = pattern.lastIndex;
      return found;
    }
    space(lines) { this.match(lines ? /(?:[ \t\n]|#[^\n]*)*/y : /[ \t]*(?:#[^\n]*)?/y); }
    value() {
      if (this.match(/"(?!"")/y)) return this.quoted();
      const literal = this.match(/'''\n?([^]*?)'''(?!')/y) || this.match(/'(?!'')([^'\n]*)'/y);
      if (literal) return literal[1];
      if (this.text[this.at] === "[") return this.list();
      const found = this.match(/\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d))?/y);
      const millis = found && trustTime(found[0]);
      if (millis === null) throw this.fail("a text in quotes, a list of texts, or a date is needed here", "此处应为带引号的文本、文本列表或日期");
      return millis;
    }
    quoted() {
      let out = "";
      for (;;) {
        const found = this.match(/([^"\\\n\u0000-\u0008\u000b-\u001f]*)(?:(")|\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([btnfr"\\])))/y);
        const code = found && parseInt(found[3] || found[4] || "0", 16);
        if (!found || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw this.fail("the text in quotes does not end on its line, or has an escape that is not known", "引号内文本未在本行结束，或含有未知转义");
        out += found[1];
        if (found[2]) return out;
        out += found[5] ? ESCAPES[found[5]] : String.fromCodePoint(code);
      }
    }
    list() {
      const out = [];
      this.at += 1;
      for (;;) {
        this.space(true);
        if (this.match(/\]/y)) return out;
        const item = this.value();
        if (!isText(item)) throw this.fail("a list of texts is needed here", "此处应为文本列表");
        out.push(item);
        this.space(true);
        if (!this.match(/,/y) && this.text[this.at] !== "]") throw this.fail("a comma or ] is missing", "缺少逗号或 ]");
      }
    }
    read() {
      const out = { gateway: [], witness: [], issuer: [], map: [], organisations: [] };
      let table = null;
      for (this.space(true); this.at < this.text.length; this.space(true)) {
        const line = this.at;
        const head = this.match(/\[(\[?)[ \t]*([A-Za-z0-9_-]+)[ \t]*\](\]?)/y);
        if (head) {
          const kind = head[2];
          const isList = head[1] === "[";
          if (isList !== (head[3] === "]") || !has(FIELDS, kind) || isList !== (kind !== "organisations")) {
            this.at = line;
            throw this.fail(`[${named(kind)}] is none of [[gateway]], [[witness]], [[issuer]], [[map]], [organisations]`, `[${named(kind)}] 不是 [[gateway]]、[[witness]]、[[issuer]]、[[map]] 或 [organisations]`);
          }
          if (!isList && out.organisations.length > 0) throw this.fail("[organisations] stands there twice", "[organisations] 出现两次");
          table = { kind, line, values: {} };
          out[kind].push(table);
        } else {
          const name = this.match(/([A-Za-z0-9_-]+)[ \t]*=[ \t]*/y);
          if (!name) throw this.fail("neither a table nor name = value", "既非表头，也非 名称 = 值");
          if (table === null) throw this.fail("a value before any table", "值出现在任何表之前");
          if (!FIELDS[table.kind].includes(name[1])) throw this.fail(`[${table.kind}] has no field ${named(name[1])}`, `[${table.kind}] 没有字段 ${named(name[1])}`);
          if (has(table.values, name[1])) throw this.fail(`${name[1]} stands there twice`, `${name[1]} 出现两次`);
          table.values[name[1]] = this.value();
        }
        this.space(false);
        if (this.at < this.text.length && this.text[this.at] !== "\n") throw this.fail("something stands behind what is complete", "完整内容之后还有多余字符");
      }
      return out;
    }
  }

  const nobody = () => ({ gateways: [], witnesses: [], issuers: [], maps: [], own: new Set(), affiliates: new Set() });
  /** Whom an evaluator trusts. */
  function parseTrust(text) {
    if (text.length > BOUND.trust) throw new Fault("the trust file is longer than 4 MiB", "信任文件超过 4 MiB");
    const reader = new Toml(text);
    const tables = reader.read();
    const trust = nobody();
    const build = (kind, into, make) => {
      for (const table of tables[kind]) {
        reader.at = table.line;
        const { values } = table;
        for (const [name, value] of Object.entries(values)) {
          if (["from", "to"].includes(name)) {
            if (isText(value)) values[name] = trustTime(value);
            if (typeof values[name] !== "number") throw reader.fail(`${name} is a date, or a time with its distance from UTC`, `${name} 应为日期，或带时区的时间`);
          } else if (!isText(value)) throw reader.fail(`${name} is a text: write it in quotes`, `${name} 应为带引号的文本`);
          else if (["site", "gateway", "machine"].includes(name) && !isName(value)) throw reader.fail(`${name} is no name: small letters, digits, - and _`, `${name} 不是名称：小写字母、数字、- 和 _`);
        }
        const need = (name) => {
          if (!has(values, name) || values[name] === "") throw reader.fail(`[[${kind}]] needs ${name}`, `[[${kind}]] 缺少 ${name}`);
          return values[name];
        };
        const span = { from: has(values, "from") ? values.from : -Infinity, to: has(values, "to") ? values.to : Infinity };
        if (span.from >= span.to) throw reader.fail("to is not after from", "to 不晚于 from");
        try { into.push({ ...span, ...make(values, need) }); } catch (error) {
          if (!(error instanceof Fault) || error.message.startsWith("trust file")) throw error;
          throw reader.fail(error.said.en, error.said.zh);
        }
      }
    };
    const keyOf = (text, kind, en, zh) => {
      const key = verifierKey(text);
      if (key.kind !== kind) throw new Fault(en, zh);
      return key;
    };
    build("gateway", trust.gateways, (values, need) => ({ site: need("site"), gateway: need("gateway"), origin: need("origin"),
      key: keyOf(need("key"), 1, "this is a witness's key, not a gateway's", "这是见证方公钥，不是网关公钥") }));
    build("witness", trust.witnesses, (values, need) => ({ key: keyOf(need("key"), 4, "this is no key for cosignatures (cosignature/v1)", "不是联署公钥（cosignature/v1）") }));
    build("issuer", trust.issuers, (values, need) => issuerKey(need("jwk")));
    build("map", trust.maps, (values, need) => {
      if (!/^sha256:[0-9a-f]{64}$/.test(need("hash"))) throw reader.fail("hash is written sha256: and 64 digits", "hash 应写作 sha256: 加 64 位十六进制");
      return { site: values.site, gateway: values.gateway, machine: need("machine"), hash: values.hash };
    });
    for (const table of tables.organisations) {
      for (const name of ["own", "affiliates"]) {
        if (has(table.values, name) && !Array.isArray(table.values[name])) { reader.at = table.line; throw reader.fail(`${name} is a list of texts`, `${name} 应为文本列表`); }
        for (const org of table.values[name] || []) trust[name].add(org);
      }
    }
    return trust;
  }
