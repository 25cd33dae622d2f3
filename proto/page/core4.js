
  // ---- The bundle ------------------------------------------------------------------------------------------

  const isDigest = (v) => isText(v) && /^[0-9a-f]{64}$/.test(v);
  const isShort = (v) => isText(v) && v.length <= 1024;
  const isManifest = form({ v: (v) => v === 1, kind: (v) => v === "lineside-usage", site: isName, gateway: isName, origin: isShort,
    key: isShort, from: isTime, to: isTime, first: isCount, end: isCount, size: isCount, start_size: isCount, made: isTime, by: isShort,
    files: (v) => Array.isArray(v) && v.length <= BOUND.entries && v.every(form({ path: isText, bytes: isCount, sha256: isText })) });

  const TEXTS = ["HOW-TO-VERIFY.txt", "HOW-TO-VERIFY.zh-CN.txt"];
  /** How long an entry of this name may be; 0 for names that bundles don't have. */
  function boundOf(path) {
    if (path === "manifest.json") return BOUND.manifest;
    if (path === "checkpoint/end" || path === "checkpoint/start") return BOUND.note;
    if (["proof/consistency.json", "proof/range.json", "proof/sessions.json"].includes(path)) return BOUND.proof;
    if (path === "report.json") return BOUND.report;
    if (TEXTS.includes(path)) return BOUND.text;
    if (/^checkpoint\/cosigned\/(0|[1-9]\d{0,15})$/.test(path)) return BOUND.note;
    if (/^leaves\/\d{10}\.jsonl$/.test(path)) return BOUND.part;
    if (/^maps\/[0-9a-f]{64}\.json$/.test(path)) return BOUND.map;
    if (/^tokens\/[0-9a-f]{64}\.jws$/.test(path)) return BOUND.token;
    if (/^tile\/[0-7]\/(x\d{3}\/)*\d{3}(\.p\/\d{1,3})?$/.test(path)) return BOUND.tile;
    return 0;
  }

  /** Reads bundles, and says what is wrong with their entries. */
  class Bundle {
    constructor(zip, findings, progress) {
      this.zip = zip;
      this.findings = findings;
      this.progress = progress;
      this.done = 0;
      this.total = 1;
    }
    tick(bytes) {
      this.done += bytes;
      this.progress(Math.min(this.done / this.total, 1));
    }
    bad(en, zh) { this.findings.fail("bundle", en, zh); }

    async open() {
      const entry = this.zip.entries.get("manifest.json");
      if (!entry) throw new Fault("there is no manifest.json: this is no evidence bundle", "没有 manifest.json：这不是证据包");
      if (entry.length > BOUND.manifest) throw new Fault(`manifest.json has ${entry.length} bytes, of ${BOUND.manifest} at most`, `manifest.json 有 ${entry.length} 字节，上限 ${BOUND.manifest}`);
      const bytes = await inflate(this.zip, "manifest.json", entry.length, () => {});
      const manifest = parseJson(bytes);
      if (!isManifest(manifest)) throw new Fault("manifest.json has not the fields of a usage manifest of version 1", "manifest.json 不是版本 1 的用量清单");
      this.manifest = manifest;
      this.files = new Map(manifest.files.map((file) => [file.path, file]));
      this.isSound = true;
      this.total = manifest.files.reduce((n, file) => sum(n, file.bytes), 1);
      this.checkNames();
      this.checkNumbers();
    }
    checkNames() {
      const { files } = this.manifest;
      let isOrdered = true;
      for (let i = 1; i < files.length; i += 1) {
        // By bytes, which for names of bundles is by UTF-16 units, too.
        if (files[i].path <= files[i - 1].path) isOrdered = false;
      }
      if (!isOrdered) this.bad("manifest.json: its entries are not in order of their paths, or one is there twice", "manifest.json：条目未按路径排序，或有重复");
      let maps = 0;
      for (const { path, bytes, sha256: hash } of files) {
        const max = path === "manifest.json" ? 0 : boundOf(path);
        if (max === 0) this.bad(`${named(path)}: a bundle has no entry of this name`, `${named(path)}：证据包没有此名称的条目`);
        else if (!this.zip.entries.has(path)) this.bad(`${named(path)}: the manifest names it, and it is missing`, `${named(path)}：清单中有，文件中缺失`);
        else if (bytes > max) this.bad(`${named(path)} has ${bytes} bytes, of ${max} at most`, `${named(path)} 有 ${bytes} 字节，上限 ${max}`);
        if (!isDigest(hash)) this.bad(`${named(path)}: its hash in the manifest is none`, `${named(path)}：清单中的散列无效`);
        if (path.startsWith("maps/")) maps = sum(maps, bytes);
      }
      if (maps > BOUND.maps) this.bad(`the maps have ${maps} bytes together, of ${BOUND.maps} at most`, `设备点表合计 ${maps} 字节，上限 ${BOUND.maps}`);
      for (const path of ["checkpoint/end", "proof/range.json", "proof/sessions.json", "report.json", ...(this.manifest.start_size > 0 ? ["checkpoint/start"] : [])]) {
        if (!this.files.has(path)) this.bad(`${path} is missing`, `缺少 ${path}`);
      }
      for (const path of this.zip.entries.keys()) {
        if (path !== "manifest.json" && !this.files.has(path)) this.bad(`${named(path)}: it is not in the manifest`, `${named(path)}：不在清单中`);
      }
    }
    checkNumbers() {
      const { first, end, size, start_size: start, from, to } = this.manifest;
      const bad = (en, zh) => { this.isSound = false; this.bad(en, zh); };
      if (first > end || end > size || end - first > BOUND.leaves) bad(`the leaves from ${first} to ${end} can't be of a tree of ${size}, or are more than ${BOUND.leaves}`, `记录 ${first} 至 ${end} 不可能属于大小为 ${size} 的树，或超过 ${BOUND.leaves} 条`);
      if (first % 256 !== 0 || (end % 256 !== 0 && end !== size)) bad(`the leaves from ${first} to ${end} do not begin and end at multiples of 256`, `记录 ${first} 至 ${end} 的起止不是 256 的倍数`);
      if (start > size) bad(`the older tree of ${start} leaves is larger than the tree of ${size}`, `较早的树 ${start} 大于 ${size}`);
      if (time(from) >= time(to) || time(from) % HOUR !== 0 || time(to) % HOUR !== 0) bad(`the period from ${from} to ${to} has no length, or is not of full hours`, `时段 ${from} 至 ${to} 长度为零，或不是整点`);
    }
    has(path) { return this.files.has(path) && this.zip.entries.has(path); }

    /** An entry's bytes, or null where they are not what the manifest says. Of leaves, those with another hash are given,
     *  too: what is wrong with them is then said by the checks of leaves. */
    async read(path) {
      const file = this.files.get(path);
      const entry = this.zip.entries.get(path);
      if (!file || !entry || file.bytes > boundOf(path)) return null;
      let ticked = 0;
      try {
        if (entry.length !== file.bytes) throw new Fault(`${named(path)} has ${entry.length} bytes, and the manifest says ${file.bytes}`, `${named(path)} 有 ${entry.length} 字节，而清单为 ${file.bytes}`);
        const bytes = await inflate(this.zip, path, file.bytes, (n) => { ticked += n; this.tick(n); });
        this.tick(file.bytes - ticked);
        if (hex(await digest(bytes)) === file.sha256) return bytes;
        this.bad(`${named(path)} has another SHA-256 than the manifest says: it was changed`, `${named(path)} 的 SHA-256 与清单不符：已被改动`);
        return path.startsWith("leaves/") ? bytes : null;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        this.bad(error.said.en, error.said.zh);
        return null;
      }
    }
    async json(path, test) {
      const bytes = await this.read(path);
      const value = bytes === null ? undefined : parseJson(bytes);
      return value !== undefined && test(value) ? value : null;
    }
  }

  // ---- The thirteen checks ---------------------------------------------------------------------------------

  const isHash = (v) => { const bytes = unbase64(v); return bytes !== null && bytes.length === 32; };
  const isHashes = (v) => Array.isArray(v) && v.length <= BOUND.proofHashes && v.every(isHash);
  const isConsistency = form({ from: isCount, to: isCount, hashes: isHashes });
  const isRange = form({ from: isCount, to: isCount, left: isHashes, right: isHashes });
  const isProofs = form({ size: isCount, proofs: (v) => Array.isArray(v) && v.every(form({ session: isText, index: isCount, hashes: isHashes })) });
  const hashesOf = (all) => all.map(unbase64);

  const pause = () => new Promise((resolve) => { setTimeout(resolve, 0); });

  /** What can't be said when a leaf is missing, or can't be read. */
  const AFTER_LEAVES = ["period", "time", "sessions", "tokens", "maps", "witness", "totals"];

  class Verification {
    constructor(bundle, trust, findings) {
      this.bundle = bundle;
      this.trust = trust;
      this.findings = findings;
      this.manifest = bundle.manifest;
      this.notes = [];
      this.head = null;
      this.roots = new Map();
      this.tiles = new Map();
      this.proofs = null;
      this.isWhole = true;
      this.isBroken = false;
    }

    async run() {
      await this.readNotes();
      await this.readProofs();
      await this.readTiles();
      this.tally = new Tally(this.manifest, this.findings, this.notes.map(({ head }) => head.size));
      await this.readLeaves();
      if (this.isWhole && !this.isBroken) await this.readCorrections();
      const tokens = await this.readOthers("tokens", ".jws");
      const maps = await this.readOthers("maps", ".json");
      for (const path of TEXTS) await this.bundle.read(path);
      const report = await this.bundle.read("report.json");
      await this.checkSignature();
      if (!this.isWhole) { this.findings.skip("tree", "consistency", "tiles", ...AFTER_LEAVES); return null; }
      this.checkTree();
      this.checkConsistency();
      this.checkTiles();
      if (this.isBroken) { this.findings.skip(...AFTER_LEAVES); return null; }
      this.checkPeriod();
      this.checkProofs();
      this.checkMaps(maps);
      this.checkWitness();
      return this.checkTotals(tokens, report);
    }

    /** Reads the notes; what is wrong with them fails `signature`. */
    async readNotes() {
      const paths = [...this.bundle.files.keys()].filter((path) => path.startsWith("checkpoint/"));
      for (const path of paths) {
        const bytes = await this.bundle.read(path);
        if (bytes === null) continue;
        try {
          const note = parseNote(bytes);
          const head = parseCheckpoint(note.text);
          const cosigned = /^checkpoint\/cosigned\/(\d+)$/.exec(path);
          const size = cosigned ? Number(cosigned[1]) : path === "checkpoint/end" ? this.manifest.size : this.manifest.start_size;
          if (head.origin !== this.manifest.origin) this.findings.fail("signature", `${path} is of the ledger ${named(head.origin)}, not of ${named(this.manifest.origin)}`, `${path} 属于台账 ${named(head.origin)}，而非 ${named(this.manifest.origin)}`);
          const isThere = !cosigned || (size > this.manifest.first && size <= this.manifest.end);
          if (head.size !== size || !isThere) {
            // What the leaves give at another size says nothing of this note.
            const check = path === "checkpoint/end" ? "tree" : "consistency";
            this.findings.fail(check, `${path} is of ${head.size} leaves, not of ${size}, or ends outside the bundle`, `${path} 大小为 ${head.size}，而非 ${size}，或不在证据包范围内`);
            if (!cosigned) continue;
          }
          this.notes.push({ path, note, head, isCosigned: cosigned !== null });
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          this.findings.fail("signature", `${path}: ${error.said.en}`, `${path}：${error.said.zh}`);
        }
      }
      const end = this.notes.find(({ path }) => path === "checkpoint/end");
      if (end) this.head = end.head;
      else this.findings.fail("signature", "there is no checkpoint/end that can be read", "没有可读的 checkpoint/end");
    }

    async readProofs() {
      const { first, size } = this.manifest;
      const range = await this.bundle.json("proof/range.json", isRange);
      this.range = range && range.from === first && range.to === size && range.left.length === peaksOf(first).length ? range : null;
      this.proofs = await this.bundle.json("proof/sessions.json", isProofs);
      this.consistency = await this.bundle.json("proof/consistency.json", isConsistency);
    }

    async readTiles() {
      const { first, end, size } = this.manifest;
      const present = new Set([...this.bundle.files.keys()].filter((path) => path.startsWith("tile/")));
      const parts = Math.ceil(end / PART) - Math.floor(first / PART);
      // Numbers that the leaves of the bundle can't bear out are not worked through.
      this.expected = first <= end && end <= size && parts <= this.bundle.files.size + 1 ? tilesOf(first, end, size) : new Map();
      for (const path of present) {
        const bytes = await this.bundle.read(path);
        const tile = [...this.expected.values()].length > 0 ? this.tileAt(path) : null;
        if (!tile) this.findings.fail("tiles", `${named(path)} is no tile that such a bundle holds`, `${named(path)} 不是该证据包应有的树块`);
        else if (bytes !== null && bytes.length !== tile.width * 32) this.findings.fail("tiles", `${path} has another length than its hashes`, `${path} 的长度与其散列数不符`);
        else if (bytes !== null) this.tiles.set(`${tile.level}/${tile.index}`, bytes);
      }
      for (const { path } of this.expected.values()) {
        if (!present.has(path)) this.findings.fail("tiles", `${path} is missing`, `缺少 ${path}`);
      }
    }
    tileAt(path) {
      this.byPath = this.byPath || new Map([...this.expected.values()].map((tile) => [tile.path, tile]));
      return this.byPath.get(path) || null;
    }

    /** Goes through the leaves, part by part; nothing of them is kept but what they add up to. */
    async readLeaves() {
      const { first, end } = this.manifest;
      const wanted = new Set(this.notes.map(({ head }) => head.size));
      this.leafRange = new Range(first, this.range ? hashesOf(this.range.left) : []);
      this.wantedHashes = new Map((this.proofs ? this.proofs.proofs : []).map(({ index }) => [index, null]));
      this.sessionLeaves = new Map();
      if (wanted.has(first)) this.roots.set(first, this.leafRange.root());
      const left = new Set([...this.bundle.files.keys()].filter((path) => path.startsWith("leaves/")));
      const parts = [];
      for (let from = first; from < end; from = parts[parts.length - 1].to) parts.push({ from, to: Math.min((Math.floor(from / PART) + 1) * PART, end), path: `leaves/${String(from).padStart(10, "0")}.jsonl` });
      for (const { path } of parts) left.delete(path);
      for (const path of left) this.findings.fail("leaves", `${named(path)} begins at a leaf at which no part begins`, `${named(path)} 的起始位置不是分段起点`);
      const bytesOfAll = [...this.bundle.files.values()].filter(({ path }) => path.startsWith("leaves/")).reduce((n, { bytes }) => sum(n, bytes), 0);
      if (bytesOfAll > BOUND.file) this.bundle.bad(`the leaves have ${bytesOfAll} bytes, of ${BOUND.file} at most`, `记录共 ${bytesOfAll} 字节，上限 ${BOUND.file}`);
      for (const { from, to, path } of parts) {
        if (this.bundle.has(path) && bytesOfAll <= BOUND.file) continue;
        this.isWhole = false;
        this.findings.fail("leaves", `the leaves from ${from} to ${to - 1} are missing`, `缺少记录 ${from} 至 ${to - 1}`);
      }
      for (const { from, to, path } of this.isWhole ? parts : []) {
        const bytes = await this.bundle.read(path);
        if (bytes === null) {
          this.isWhole = false;
          this.findings.fail("leaves", `the leaves from ${from} to ${to - 1} are missing, or are not what the manifest says`, `记录 ${from} 至 ${to - 1} 缺失，或与清单不符`);
        } else if (!await this.readPart(bytes, from, to, wanted)) this.isWhole = false;
        if (!this.isWhole) break;
      }
    }
    async readPart(bytes, from, to, wanted) {
      let at = 0, index = from, since = Date.now();
      while (at < bytes.length) {
        const end = bytes.indexOf(10, at);
        if (end < 0 || index >= to) break;
        this.takeLeaf(bytes.subarray(at, end), index);
        index += 1;
        at = end + 1;
        if (wanted.has(index)) this.roots.set(index, this.leafRange.root());
        if (index % 256 === 0 && Date.now() - since > 30) { await pause(); since = Date.now(); }
      }
      if (index === to && at === bytes.length) return true;
      this.findings.fail("leaves", `the part that begins at leaf ${from} has not exactly the leaves up to ${to - 1}: one is missing, or too many`, `自记录 ${from} 起的分段并非恰好到 ${to - 1}：有缺失或多余`);
      return false;
    }
    takeLeaf(bytes, index) {
      const hash = leafHash(bytes);
      this.leafRange.push(hash, (level, place, node) => this.compare(level, place, node));
      if (this.wantedHashes.has(index)) this.wantedHashes.set(index, hash);
      if (this.isBroken) return;
      const [leaf, wrong] = readLeaf(bytes);
      this.isBroken = leaf === null || leaf.index !== index;
      if (leaf === null) { this.findings.fail("leaves", `leaf ${index} ${wrong.en}`, `记录 ${index} ${wrong.zh}`); return; }
      if (leaf.index !== index) {
        this.findings.fail("leaves", `leaf ${index} says that it is leaf ${leaf.index}: one is missing, or their order was changed`, `记录 ${index} 自称为记录 ${leaf.index}：有缺失，或顺序被改动`);
        return;
      }
      if (leaf.type === "session") this.sessionLeaves.set(index, leaf.session);
      this.tally.take(leaf);
    }
    /** Compares a node that the leaves give with the tile that holds it. */
    compare(level, place, node) {
      const tile = this.tiles.get(`${level / 8}/${half(place / 128)}`);
      const at = place % 256 * 32;
      if (tile && this.range !== null && !same(tile.subarray(at, at + 32), node)) {
        this.findings.fail("tiles", `hash ${place} of level ${level / 8} is not that of its leaves`, `第 ${level / 8} 层第 ${place} 个散列与其记录不符`);
      }
    }

    /** Finds the sessions whose leaves were corrected: by reading again the few parts that corrections refer to. */
    async readCorrections() {
      const { first, end } = this.manifest;
      const refers = [...new Set(this.tally.corrections)].filter((index) => index >= first && index < end).sort((a, b) => a - b);
      let part = null;
      for (const index of refers) {
        const from = Math.max(Math.floor(index / PART) * PART, first);
        if (part === null || part.from !== from) {
          const path = `leaves/${String(from).padStart(10, "0")}.jsonl`;
          const bytes = await inflate(this.bundle.zip, path, this.bundle.files.get(path).bytes, () => {});
          part = { from, index: from, at: 0, bytes };
          await pause();
        }
        while (part.index < index) { part.at = part.bytes.indexOf(10, part.at) + 1; part.index += 1; }
        const [leaf] = readLeaf(part.bytes.subarray(part.at, part.bytes.indexOf(10, part.at)));
        if (leaf === null || !["session", "bind", "usage"].includes(leaf.type) || !isText(leaf.session)) continue;
        const session = this.tally.machine(leaf.machine).sessions.get(leaf.session);
        if (session) session.isCorrected = true;
      }
    }

    async readOthers(folder, ending) {
      const out = new Map();
      for (const path of this.bundle.files.keys()) {
        if (!path.startsWith(`${folder}/`)) continue;
        const bytes = await this.bundle.read(path);
        const name = path.slice(folder.length + 1, -ending.length);
        if (bytes === null) continue;
        if (hex(await digest(bytes)) !== name) {
          this.findings.fail(folder, `${path} has another SHA-256 than its name says`, `${path} 的 SHA-256 与其名称不符`);
          continue;
        }
        // Maps are only asked for: their text may be large.
        out.set(`sha256:${name}`, folder === "maps" ? true : bytes);
      }
      return out;
    }

    async checkSignature() {
      const { findings, manifest, trust } = this;
      const mine = trust.gateways.filter((one) => one.site === manifest.site && one.gateway === manifest.gateway && one.origin === manifest.origin);
      await this.follow(mine);
      let own = [];
      // What the bundle says of itself counts for nothing where it can't be read.
      try { own = [verifierKey(manifest.key)].filter(({ kind }) => kind === 1); } catch (error) { if (!(error instanceof Fault)) throw error; }
      const witnesses = trust.witnesses.map(({ key }) => key);
      const untrusted = [];
      this.witnessed = [];
      for (const { path, note, head } of this.notes) {
        const at = this.timeOf(head.size);
        const trusted = mine.filter(({ from, to }) => from <= at && at < to).map(({ key }) => key);
        let isSound = true;
        const bad = (key) => {
          isSound = false;
          findings.fail("signature", `${path}: the signature of ${named(key.name)} does not fit: the text was changed, or somebody else signed it`, `${path}：${named(key.name)} 的签名不符：内容被改动，或由他人签署`);
        };
        const all = await signers(note, [...trusted, ...own, ...witnesses], bad);
        if (!isSound) continue;
        for (const { key, at: seen } of all) {
          const witness = trust.witnesses.find((one) => one.key.text === key.text && seen !== null && one.from <= seen && seen < one.to);
          if (witness) this.witnessed.push({ size: head.size, at: seen });
        }
        const isBy = (keys) => all.some(({ key }) => keys.some(({ text }) => text === key.text));
        if (isBy(trusted)) continue;
        if (isBy(own)) untrusted.push(path);
        else findings.fail("signature", `${path}: neither a trusted key nor the bundle's own has signed it`, `${path}：可信公钥和证据包自带公钥均未签署`);
      }
      this.isTrusted = this.head !== null && untrusted.length === 0;
      if (untrusted.length > 0) findings.note("signature", `${untrusted[0]} is signed by the key that the bundle itself names, and by none of the trust file: anybody can make such a bundle`, `${untrusted[0]} 仅由证据包自带公钥签署，信任文件中没有对应公钥：任何人都能制作`);
    }
    /** When a tree of this size ended: the time of its last leaf, or of the nearest leaf of the bundle. */
    timeOf(size) {
      const { tally, manifest } = this;
      if (tally.times.has(size)) return tally.times.get(size);
      if (tally.start === null) return tally.to;
      return size <= manifest.first ? tally.start.at : tally.lastAt;
    }
    /** Adds the keys that a trusted key has handed over to, by the bundle's key leaves. */
    async follow(trusted) {
      for (const leaf of this.tally.keys) {
        try {
          const [old, next] = [verifierKey(leaf.old), verifierKey(leaf.new)];
          if (next.kind !== 1 || old.kind !== 1 || !trusted.some(({ key }) => key.text === old.text)) continue;
          const message = utf8(`lineside key change\n${this.manifest.origin}\n${old.text}\n${next.text}\n`);
          const [first, second] = [unbase64(leaf.old_signature), unbase64(leaf.new_signature)];
          if (first && second && await verifySignature(old.key, first, message) && await verifySignature(next.key, second, message)) trusted.push({ key: next, from: -Infinity, to: Infinity });
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
        }
      }
    }

    checkTree() {
      const { findings, range, head, manifest } = this;
      if (head === null) findings.skip("tree");
      else if (range === null) findings.fail("tree", "proof/range.json is missing, or is not of these leaves", "proof/range.json 缺失，或与这些记录不符");
      else if (!checkConsistency(manifest.end, manifest.size, hashesOf(range.right), this.leafRange.root(), head.root)) {
        findings.fail("tree", "the leaves are not those that the checkpoint commits to: one was changed, left out or added", "记录与存证点承诺的不符：有改动、遗漏或增加");
      }
    }
    checkConsistency() {
      const { findings, manifest, head } = this;
      const start = this.notes.find(({ path }) => path === "checkpoint/start");
      const size = manifest.start_size;
      if (size === 0) {
        findings.note("consistency", "there is no older checkpoint to compare with", "没有可比较的较早存证点");
      } else if (!start || head === null) {
        findings.fail("consistency", "checkpoint/start or checkpoint/end is missing, or can't be read", "checkpoint/start 或 checkpoint/end 缺失或无法读取");
      } else {
        const proof = size < manifest.size ? this.consistency : { from: size, to: size, hashes: [] };
        const fits = proof !== null && proof.from === size && proof.to === manifest.size
          && checkConsistency(size, manifest.size, hashesOf(proof.hashes), start.head.root, head.root);
        if (!fits) findings.fail("consistency", "checkpoint/start is not proven to be the beginning of checkpoint/end: this is another history", "无法证明 checkpoint/start 是 checkpoint/end 的开头：历史不同");
      }
      for (const { path, head: cosigned, isCosigned } of this.notes) {
        if (!isCosigned) continue;
        const root = this.range === null ? null : this.roots.get(cosigned.size);
        if (!root || !same(root, cosigned.root)) findings.fail("consistency", `${path}: the leaves give another root at this size`, `${path}：记录在此大小处的根散列不同`);
      }
    }
    checkTiles() {
      const { findings, expected, tiles, manifest, head } = this;
      for (const [name, { level, index, width, path }] of expected) {
        const bytes = tiles.get(name);
        if (!bytes) { if (findings.isSound("tiles")) findings.fail("tiles", `${path} can't be read`, `${path} 无法读取`); continue; }
        if (width < 256) continue;
        const parent = tiles.get(`${level + 1}/${Math.floor(index / 256)}`);
        const at = index % 256 * 32;
        if (!parent || !same(parent.subarray(at, at + 32), rootOfTile(bytes, 0, 256))) findings.fail("tiles", `${path} is not the tile that the one above it commits to`, `${path} 与上层树块的承诺不符`);
      }
      if (!findings.isSound("tiles") || head === null) return;
      const tailPeaks = this.range === null ? [] : this.leafRange.peaks;
      const low = peaksOf(manifest.size).filter(([level]) => level < 8).length;
      const peaks = peaksOf(manifest.size).map(([level, index], place, all) => {
        if (level < 8 && manifest.end === manifest.size) return tailPeaks[tailPeaks.length - (all.length - place)];
        const [tileLevel, count] = [Math.floor(level / 8), 2 ** (level % 8)];
        const from = index * count;
        const bytes = tiles.get(`${tileLevel}/${Math.floor(from / 256)}`);
        return bytes ? rootOfTile(bytes, from % 256, count) : null;
      });
      if (low > tailPeaks.length && manifest.end === manifest.size) { findings.skip("tiles"); return; }
      if (peaks.some((peak) => peak === null) || !same(foldPeaks(peaks), head.root)) findings.fail("tiles", "the last tiles do not give the root that the checkpoint commits to", "最后的树块与存证点的根散列不符");
    }

    checkPeriod() {
      const { findings, manifest, tally } = this;
      const { start } = tally;
      if (start === null) { findings.fail("period", "there are no leaves", "没有记录"); return; }
      if (start.index !== 0 && start.at > tally.from) findings.fail("period", `the first leaf is of ${said(start.at)}, after the period's begin`, `第一条记录为 ${said(start.at)}，晚于时段开始`);
      if (tally.lastAt < tally.to) findings.note("period", `the last leaf is of ${said(tally.lastAt)}: what follows up to ${manifest.to} counts as unknown`, `最后一条记录为 ${said(tally.lastAt)}：此后至 ${manifest.to} 按状态不明计`);
    }
    checkProofs() {
      const { findings, proofs, manifest, head } = this;
      const bad = (en, zh) => findings.fail("sessions", `proof/sessions.json: ${en}`, `proof/sessions.json：${zh}`);
      if (proofs === null || proofs.size !== manifest.size) { bad("it is missing, or is not of this tree", "缺失，或不属于此树"); return; }
      const proven = new Set();
      let before = -1;
      for (const { session, index, hashes } of proofs.proofs) {
        const hash = this.wantedHashes.get(index);
        if (index <= before) bad(`leaf ${index} is out of order`, `记录 ${index} 顺序不对`);
        before = index;
        if (!hash || this.sessionLeaves.get(index) !== session) bad(`leaf ${index} does not begin or end session ${named(session)}`, `记录 ${index} 不是上机记录 ${named(session)} 的开始或结束`);
        else {
          if (head !== null && !checkInclusion(hash, index, manifest.size, hashesOf(hashes), head.root)) bad(`leaf ${index} of session ${named(session)} is not proven to be in the tree`, `无法证明上机记录 ${named(session)} 的记录 ${index} 在树中`);
          proven.add(index);
        }
      }
      for (const { session } of this.tally.listed()) {
        const index = session.close === null ? session.open : session.close;
        if (index !== null && !proven.has(index)) bad(`the proof of session ${named(session.id)} (leaf ${index}) is missing`, `缺少上机记录 ${named(session.id)}（记录 ${index}）的证明`);
      }
    }
    checkMaps(maps) {
      const { findings, tally } = this;
      for (const [hash, index] of tally.named) {
        if (!maps.has(hash)) findings.fail("maps", `leaf ${index} names the map ${named(hash)}, which is not in the bundle`, `记录 ${index} 所指设备点表 ${named(hash)} 不在证据包中`);
      }
      for (const [key, index] of tally.periodMaps) {
        const cut = key.indexOf(" ");
        if (!this.isApproved(key.slice(0, cut), key.slice(cut + 1))) findings.note("maps", `the map ${named(key.slice(cut + 1))} of ${key.slice(0, cut)} (leaf ${index}) is not approved`, `${key.slice(0, cut)} 的设备点表 ${named(key.slice(cut + 1))}（记录 ${index}）未获批准`);
      }
    }
    isApproved(machine, hash) {
      return this.trust.maps.some((one) => one.hash === hash && one.machine === machine
        && (one.site === undefined || one.site === this.manifest.site) && (one.gateway === undefined || one.gateway === this.manifest.gateway));
    }
    checkWitness() {
      const { findings, witnessed, tally } = this;
      const newest = witnessed.reduce((most, { size }) => Math.max(most, size), 0);
      const last = tally.lastOfPeriod;
      if (witnessed.length === 0) findings.note("witness", "no trusted witness has cosigned", "没有可信见证方联署");
      else if (last !== null && newest <= last.index) findings.note("witness", `the last cosigned head has ${newest} leaves and does not reach the period's last leaf ${last.index}`, `最后联署的存证点有 ${newest} 条记录，未及时段最后一条记录 ${last.index}`);
    }
    cosigned() {
      if (!this.isWhole || this.isBroken) return null;
      const newest = this.witnessed.reduce((most, { size }) => Math.max(most, size), 0);
      const times = this.witnessed.filter(({ size }) => size === newest).map(({ at }) => at);
      return times.length === 0 ? null : said(Math.min(...times));
    }

    async checkTotals(tokens, report) {
      const { findings, tally, head, trust } = this;
      const claims = new Map();
      for (const [name, bytes] of tokens) {
        try { claims.set(name, parseToken(bytes)); } catch (error) {
          if (!(error instanceof Fault)) throw error;
          claims.set(name, error);
        }
      }
      const claimsOf = (session) => {
        const token = session.token === null ? undefined : claims.get(session.token);
        return token === undefined || token instanceof Fault ? null : token.claims;
      };
      const proven = await this.checkTokens(claims);
      const alone = totalsOf(tally, head, { isProven: () => false, witnessed: [], isApproved: () => false, claimsOf });
      const place = report === null || head === null ? "" : difference(parseJson(report), JSON.parse(JSON.stringify(alone)), "");
      if (report === null || head === null) findings.fail("totals", "report.json or the checkpoint is missing, or is not what the manifest says", "report.json 缺失，或与清单不符");
      else if (place !== null) findings.fail("totals", `report.json says something else than the leaves${place === "" ? "" : ` at ${place}`}`, `report.json 与记录不符${place === "" ? "" : `：${place}`}`);
      return totalsOf(tally, head, {
        isProven: (machine, session) => proven.has(session), witnessed: this.witnessed,
        isApproved: (machine, hash) => this.isApproved(machine, hash), claimsOf, trust,
      });
    }
    async checkTokens(claims) {
      const proven = new Set();
      let unsigned = 0;
      for (const { name, session } of this.tally.listed()) {
        if (session.cls !== "EXT") continue;
        const flaw = (en, zh) => new Fault(`${name}: session ${named(session.id)} ${en}`, `${name}：上机记录 ${named(session.id)} ${zh}`);
        if (!session.isOwned) {
          const { said: words } = flaw("neither begins nor ends in the bundle, so its token is not known", "在证据包中既无开始也无结束，其预约凭证未知");
          this.findings.note("tokens", words.en, words.zh);
          continue;
        }
        try {
          const token = session.token === null ? null : claims.get(session.token);
          if (token === null) throw flaw("is external and names no token", "为对外类别却没有预约凭证");
          if (token === undefined) throw flaw("names a token that is not in the bundle", "所指预约凭证不在证据包中");
          if (token instanceof Fault) throw flaw(`has a token that ${token.said.en}`, `的预约凭证：${token.said.zh}`);
          const isSigned = await this.judgeSignature(token, flaw);
          this.judgeClaims(name, session, token.claims, flaw);
          if (isSigned) proven.add(session); else unsigned += 1;
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          this.findings.fail("tokens", error.said.en, error.said.zh);
        }
      }
      if (unsigned > 0) this.findings.note("tokens", `no issuer key is trusted: the signatures of ${unsigned} tokens were not checked`, `没有可信签发方公钥：${unsigned} 个预约凭证的签名未核验`);
      return proven;
    }
    async judgeSignature({ kid, claims, signature, message }, flaw) {
      const { issuers } = this.trust;
      if (issuers.length === 0) return false;
      const mine = issuers.filter((issuer) => issuer.kid === kid);
      if (mine.length === 0) throw flaw(`has a token of the key ${named(kid)}, which the trust file does not have`, `的预约凭证由信任文件之外的公钥 ${named(kid)} 签发`);
      let fits = false;
      for (const issuer of mine) {
        if (!await verifySignature(issuer.key, signature, message)) continue;
        fits = true;
        if (issuer.from <= claims.iat * 1000 && claims.iat * 1000 < issuer.to) return true;
      }
      throw fits ? flaw(`has a token of a time at which the key ${named(kid)} was not to be trusted`, `的预约凭证签发时公钥 ${named(kid)} 不可信`)
        : flaw("has a token whose signature does not fit", "的预约凭证签名不符");
    }
    judgeClaims(machine, session, claims, flaw) {
      const { manifest, trust } = this;
      if (claims.site !== manifest.site || claims.gateway !== manifest.gateway) throw flaw(`has a token for the gateway ${claims.site}/${claims.gateway}`, `的预约凭证属于网关 ${claims.site}/${claims.gateway}`);
      if (!claims.machines.includes(machine)) throw flaw("has a token that is not for this machine", "的预约凭证不适用于此设备");
      if (claims.id !== session.booking) throw flaw(`has a token for booking ${named(claims.id)}, and is of ${shown(session.booking)}`, `的预约凭证属于预约 ${named(claims.id)}，而其预约为 ${shownZh(session.booking)}`);
      if (claims.class !== "EXT") throw flaw(`is external, and its token asks for class ${claims.class}`, `为对外类别，而预约凭证的类别为 ${claims.class}`);
      if (!isText(claims.org) || claims.org === "") throw flaw("is external, and its token names no organisation", "为对外类别，而预约凭证没有单位");
      if (trust.own.has(claims.org)) throw flaw(`is external, and ${named(claims.org)} is the platform's own organisation`, `为对外类别，而 ${named(claims.org)} 是平台自有单位`);
      if (trust.affiliates.has(claims.org)) throw flaw(`is external, and ${named(claims.org)} is an affiliate of the platform`, `为对外类别，而 ${named(claims.org)} 是平台关联单位`);
      if (session.to !== null && claims.iat * 1000 > session.to + 5 * 60_000) throw flaw("has a token that was issued after it ended", "的预约凭证在其结束后才签发");
      const [start, end] = [anyTime(claims.start), anyTime(claims.end)];
      if (session.from !== null && (session.from < start - 30 * 60_000 || session.from > end + 5 * 60_000)) throw flaw(`began at ${said(session.from)}, and its token is for ${claims.start} to ${claims.end}`, `开始于 ${said(session.from)}，而预约凭证的时段为 ${claims.start} 至 ${claims.end}`);
    }
  }
  /** The root over `count` hashes of a tile, a power of two. */
  function rootOfTile(bytes, from, count) {
    if (count === 1) return bytes.subarray(from * 32, from * 32 + 32);
    return nodeHash(rootOfTile(bytes, from, count / 2), rootOfTile(bytes, from + count / 2, count / 2));
  }

  const WELL = {
    bundle: (m) => S(`${m.files.length} entries, each as long and with the hash that the manifest says`, `${m.files.length} 个条目，长度和散列均与清单一致`),
    signature: () => S("signed by a key of the trust file", "由信任文件中的公钥签署"),
    tree: (m) => S(`the leaves from ${m.first} to ${m.end - 1} are all of their range, in the signed tree of ${m.size}`, `记录 ${m.first} 至 ${m.end - 1} 齐全，均在大小为 ${m.size} 的已签名树中`),
    consistency: (m) => S(`the older head of ${m.start_size} leaves is the beginning of this one`, `较早的 ${m.start_size} 条记录是当前台账的开头`),
    tiles: () => S("the tiles are those of the leaves", "树块与记录一致"),
    leaves: (m) => S(`${m.end - m.first} leaves, each in its form and at its place`, `${m.end - m.first} 条记录，格式和位置均正确`),
    period: () => S("the leaves cover the period", "记录覆盖整个时段"),
    time: () => S("each machine's time is accounted for once", "每台设备的时间恰好记账一次"),
    sessions: () => S("each session begins once, ends once, and contains its usage", "每条上机记录开始一次、结束一次，并包含其使用"),
    tokens: () => S("each external session of the period has a good token", "时段内每条对外上机记录都有有效预约凭证"),
    maps: () => S("each map is there, and those of the period are approved", "设备点表齐全，时段内的均已批准"),
    witness: () => S("a trusted witness has seen the period's last leaf", "可信见证方已见到时段的最后一条记录"),
    totals: () => S("report.json is what the leaves add up to", "report.json 与记录的合计一致"),
  };

  /** Verifies a bundle: a Blob or a File. Gives what `lineside-verify --json` gives, each text in both languages. */
  async function verify(file, trust, progress) {
    const findings = new Findings();
    let bundle = null, totals = null, cosigned = null, isTrusted = false;
    try {
      bundle = new Bundle(await openZip(file), findings, progress || (() => {}));
      await bundle.open();
      const work = new Verification(bundle, trust || nobody(), findings);
      if (bundle.isSound) {
        totals = await work.run();
        cosigned = work.cosigned();
        isTrusted = work.isTrusted;
      } else findings.skip(...CHECKS.slice(1));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      findings.fail("bundle", error.said.en, error.said.zh);
      findings.skip(...CHECKS.slice(1));
    }
    const checks = [...findings.of.values()];
    for (const check of checks) {
      if (check.said.length === 0) { check.said = [WELL[check.check](bundle.manifest)]; check.found = 1; }
    }
    const isSound = checks.every(({ status }) => status !== "failed");
    const manifest = bundle && bundle.manifest ? { ...bundle.manifest, files: [] } : null;
    return { v: 1, verdict: !isSound ? "failed" : isTrusted ? "verified" : "self-consistent", checks, manifest, cosigned, totals };
  }

  return { verify, parseTrust, nobody, Fault, S, named, STATES, CLASSES, GRADES, CHECKS, OUTCOMES,
    inner: { sha256, sha512, verifyOwn, verifySignature, admits, unbase64, unbase64url, base64, canonical, readCanonical, time, anyTime,
      checkInclusion, checkConsistency, tilePath, tilesOf, milli, parseNote, verifierKey, issuerKey, isFast, hex, utf8, MachineTime } };
})();
