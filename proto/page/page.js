"use strict";
// The page around the verifier. All that comes out of files is put in as text, never as markup.
const Page = (() => {
  const { S, STATES, CLASSES, GRADES } = Lineside;
  const HOUR = 3_600_000;
  const SESSIONS_SHOWN = 200;
  const DAYS_SHOWN = 800;

  const state = {
    lang: /^zh\b/i.test(navigator.language || "") ? "zh" : "en",
    trust: { name: "", text: "", error: null, parsed: null },
    items: [], busy: false, worker: null,
  };
  const t = (said) => said[state.lang];
  const T = (en, zh) => (state.lang === "zh" ? zh : en);

  // ---- Elements --------------------------------------------------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";
  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat()) {
      if (child !== null && child !== undefined) node.append(child instanceof Node ? child : String(child));
    }
    return node;
  }
  const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const byId = (id) => document.getElementById(id);

  const SHAPES = { ok: "M5 13l4 4L19 7", note: "M12 6v8M12 18v.5", failed: "M6 6l12 12M18 6L6 18" };
  function icon(kind, name, className) {
    return svg("svg", { class: className, viewBox: "0 0 24 24", role: "img", "aria-label": name, fill: "none", stroke: "currentColor",
      "stroke-width": 2.6, "stroke-linecap": "round", "stroke-linejoin": "round" },
    className === "mark" ? svg("circle", { cx: 12, cy: 12, r: 11, "stroke-width": 1.4 }) : null, svg("path", { d: SHAPES[kind] }));
  }

  // ---- Words -----------------------------------------------------------------------------------------------

  const STATUS = { ok: S("holds", "通过"), note: S("holds, to be known", "通过，需知悉"), failed: S("does not hold", "未通过") };
  const CHECK = {
    bundle: S("File and manifest", "文件与清单"), signature: S("Who signed", "签署者"), tree: S("Nothing left out", "记录齐全"),
    consistency: S("Same history", "历史一致"), tiles: S("Hash tiles", "散列树块"), leaves: S("Each record", "逐条记录"),
    period: S("Covers the period", "覆盖时段"), time: S("Time adds up", "时间守恒"), sessions: S("Sessions", "上机记录"),
    tokens: S("Booking tokens", "预约凭证"), maps: S("Machine maps", "设备点表"), witness: S("Witness", "见证"), totals: S("Totals", "合计"),
  };
  const VERDICT = {
    verified: [S("Verified", "已核实"), S("Every check holds, and a key of your trust file signed it.", "各项核验均通过，且由您的信任文件中的公钥签署。"), "ok"],
    "self-consistent": [S("Self-consistent, signer unknown", "自洽，签署者未知"),
      S("Everything holds together, but no key that you trust signed it: anybody could have made it. Add the trust file.", "内容前后一致，但没有您信任的公钥签署：任何人都可能制作。请添加信任文件。"), "note"],
    failed: [S("Failed", "未通过"), S("Something does not hold. Its hours must not be counted.", "有内容不成立，其机时不可计入。"), "failed"],
  };
  const STATE = { UNKNOWN: S("Unknown", "状态不明"), OFF: S("Off", "关机"), DOWN: S("Down", "故障"), MAINT: S("Maintenance", "维护"), IDLE: S("Idle", "空闲"),
    SETUP: S("Set-up", "准备"), RUN: S("Running", "运行"), HOLD: S("On hold", "暂停") };
  const CLASS = { EXT: S("External", "对外"), OWN: S("Own", "自用"), AFF: S("Affiliate", "关联"), TRN: S("Training", "培训"), MNT: S("Maintenance", "维护"), UNB: S("Unbooked", "无预约") };
  const WHY = {
    entered: S("class entered by hand", "类别由人工录入"), corrected: S("corrected later", "事后更正"), token: S("token not proven", "预约凭证未证实"),
    clock: S("clock not synchronised", "时钟未同步"), late: S("no witness within a day", "一日内无见证"), map: S("map not approved", "设备点表未批准"),
    meter: S("meter does not agree", "电表不一致"), "no-meter": S("no meter", "无电表"),
  };
  const REASON = { "check-out": S("checked out", "签退"), ended: S("booking ended", "预约结束"), idle: S("idle", "闲置"), next: S("next user", "下一用户"), removed: S("machine removed", "设备移除") };
  const OUTCOME = { fulfilled: S("fulfilled", "履约"), overrun: S("overrun", "超时"), "early-leave": S("left early", "提前离开"), "no-show": S("no-show", "爽约"),
    indeterminate: S("cannot be said", "不可判定"), "platform-fault": S("platform's fault", "平台原因"), cancelled: S("cancelled", "取消") };
  const GRADE = { A: S("signal and meter agree, seen by a witness in time", "信号与电表一致，及时见证"), B: S("the same without a meter", "同上，无电表"),
    C: S("late, clock, map or meter in doubt", "见证、时钟、点表或电表存疑"), D: S("rests on what a person entered, or is not proven", "依据人工录入，或未证实") };

  const hours = (ms) => (Math.floor(ms / 36_000) / 100).toFixed(2);
  const kwh = (mwh) => (mwh === null ? "–" : `${(Math.floor(mwh / 10_000) / 100).toFixed(2)} kWh`);
  const share = (thousandths) => `${Math.floor(thousandths / 10)}.${thousandths % 10} %`;
  const local = (text) => (text === null ? "–" : new Date(Date.parse(text) + 8 * HOUR).toISOString().slice(0, 16).replace("T", " "));
  /** From when to when; the day of the end is left out where it is that of the begin. */
  const span = (from, to) => {
    const [begin, end] = [local(from), local(to)];
    return to === null || begin.slice(0, 10) !== end.slice(0, 10) ? `${begin} – ${end}` : `${begin} – ${end.slice(11)}`;
  };
  const names = (object, words, all) => all.filter((key) => object[key] > 0).map((key) => `${t(words[key])} ${object[key]}`).join(T(", ", "，"));

  // ---- The report ------------------------------------------------------------------------------------------

  function legend(ms, period) {
    const rows = STATES.filter((name) => ms[name] > 0).map((name) => h("li", null, swatch(`f-${name}`), `${t(STATE[name])} ${hours(ms[name])} h`));
    const rest = period - Object.values(ms).reduce((a, b) => a + b, 0);
    if (rest > 0) rows.push(h("li", null, swatch("f-none"), `${T("Not watched", "未监测")} ${hours(rest)} h`));
    return h("ul", { class: "legend" }, rows);
  }
  const swatch = (className) => svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { width: 10, height: 10, class: className }));
  function stateBar(ms, period) {
    const label = STATES.filter((name) => ms[name] > 0).map((name) => `${t(STATE[name])} ${hours(ms[name])} h`).join(", ");
    const bar = svg("svg", { class: "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": label },
      svg("rect", { width: 1000, height: 10, class: "f-none" }));
    let x = 0;
    for (const name of STATES) {
      const width = (ms[name] || 0) / period * 1000;
      if (width > 0) bar.append(svg("rect", { x, width, height: 10, class: `f-${name}` }, svg("title", null, `${t(STATE[name])} ${hours(ms[name])} h`)));
      x += width;
    }
    return bar;
  }
  /** Each day of the period as a column of 24 hours, what counts at its foot. */
  function timeline(machine, totals) {
    const first = Math.floor((Date.parse(totals.from) + 8 * HOUR) / (24 * HOUR));
    const last = Math.floor((Date.parse(totals.to) - 1 + 8 * HOUR) / (24 * HOUR));
    const count = Math.min(last - first + 1, DAYS_SHOWN);
    const dateOf = (day) => new Date(day * 24 * HOUR).toISOString().slice(0, 10);
    const chart = svg("svg", { class: "days", width: Math.min(count * 48, 2000), viewBox: `0 0 ${count} 24`, preserveAspectRatio: "none", role: "img",
      "aria-label": T(`States by day, ${dateOf(first)} to ${dateOf(first + count - 1)}`, `每日状态，${dateOf(first)} 至 ${dateOf(first + count - 1)}`) });
    for (let i = 0; i < count; i += 1) {
      const date = dateOf(first + i);
      const ms = machine.days[date] || {};
      const gap = count > 120 ? 0 : 0.08;
      const column = svg("g", null, svg("rect", { x: i + gap, y: 0, width: 1 - 2 * gap, height: 24, class: "f-none" }));
      let y = 24;
      for (const name of ["RUN", "SETUP", "HOLD", "IDLE", "OFF", "MAINT", "DOWN", "UNKNOWN"]) {
        const height = Math.min((ms[name] || 0) / HOUR, y);
        if (height > 0) column.append(svg("rect", { x: i + gap, y: y - height, width: 1 - 2 * gap, height, class: `f-${name}` }));
        y -= height;
      }
      column.append(svg("title", null, `${date} · ${STATES.filter((name) => ms[name] > 0).map((name) => `${t(STATE[name])} ${hours(ms[name])} h`).join(" · ")}`));
      chart.append(column);
    }
    const cut = last - first + 1 > count ? T(` (the first ${count} days)`, `（前 ${count} 天）`) : "";
    return [h("h4", null, T("By day, 24 hours each (UTC+8)", "按日，每列 24 小时（UTC+8）") + cut), chart,
      h("div", { class: "key" }, `${dateOf(first)} – ${dateOf(first + count - 1)}`)];
  }
  function hoursTable(machine) {
    const classes = CLASSES.filter((name) => machine.hours[name]);
    if (classes.length === 0) return h("p", { class: "key" }, T("No hours in sessions.", "没有上机记录机时。"));
    const of = (name, grade) => machine.hours[name][grade] || 0;
    const cell = (ms) => h("td", { class: "n" }, ms > 0 ? hours(ms) : "–");
    const total = (list) => list.reduce((a, b) => a + b, 0);
    return h("div", { class: "wide" }, h("table", { class: "hours" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, T("Class", "类别")), GRADES.map((grade) => h("th", { scope: "col", class: "n" }, h("span", { class: `grade ${grade}`, title: t(GRADE[grade]) }, grade))),
        h("th", { scope: "col", class: "n" }, T("Hours", "机时")))),
      h("tbody", null, classes.map((name) => h("tr", null, h("th", { scope: "row" }, `${t(CLASS[name])} ${name}`), GRADES.map((grade) => cell(of(name, grade))), cell(total(GRADES.map((grade) => of(name, grade)))))),
        h("tr", null, h("th", { scope: "row" }, T("All", "合计")), GRADES.map((grade) => cell(total(classes.map((name) => of(name, grade))))), cell(total(classes.flatMap((name) => GRADES.map((grade) => of(name, grade)))))))));
  }
  function sessionRow(session) {
    return h("tr", { "data-session": session.session }, h("td", { class: "at" }, span(session.from, session.to)), h("td", { class: "at" }, t(CLASS[session.class])), h("td", { class: "id" }, session.booking === null ? "–" : session.booking), h("td", { class: "id" }, session.org === null ? "–" : session.org),
      h("td", { class: "n" }, hours(session.active_ms)), h("td", { class: "n" }, session.energy_mwh === null ? "–" : kwh(session.energy_mwh)), h("td", { class: "at" }, session.reason === null ? "–" : t(REASON[session.reason])),
      h("td", null, h("span", { class: `grade ${session.grade}` }, session.grade)), h("td", null, session.why.map((word) => t(WHY[word])).join(T(", ", "，")) || "–"), h("td", { class: "id session" }, session.session));
  }
  function sessionTable(machine) {
    if (machine.sessions.length === 0) return [];
    const titles = [T("From – to (UTC+8)", "起止（UTC+8）"), T("Class", "类别"), T("Booking", "预约"), T("Organisation", "单位"),
      T("Hours", "机时"), T("Energy", "电量"), T("Ended by", "结束原因"), T("Grade", "等级"), T("Why not better", "未达更高等级的原因"), T("Session", "上机记录")];
    const body = h("tbody", null);
    let at = 0;
    const more = h("button", { class: "more", type: "button", onclick: () => show() });
    const show = () => {
      for (const session of machine.sessions.slice(at, at + SESSIONS_SHOWN)) body.append(sessionRow(session));
      at = Math.min(at + SESSIONS_SHOWN, machine.sessions.length);
      more.hidden = at === machine.sessions.length;
      more.textContent = T(`Show more (${machine.sessions.length - at} left)`, `显示更多（余 ${machine.sessions.length - at}）`);
    };
    show();
    return [h("h4", null, T(`Sessions (${machine.sessions.length})`, `上机记录（${machine.sessions.length}）`)),
      h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": T("Sessions", "上机记录") }, h("table", null, h("thead", null, h("tr", null, titles.map((title, i) => h("th", { scope: "col", class: i === 4 || i === 5 ? "n" : null }, title)))), body)), more];
  }
  function machineSection(machine, totals) {
    const external = machine.hours.EXT ? GRADES.reduce((n, grade) => n + (machine.hours.EXT[grade] || 0), 0) : 0;
    const figure = (name, value, unit) => h("div", null, h("dt", null, name), h("dd", null, value, unit ? h("small", null, ` ${unit}`) : null));
    const bookings = names(machine.bookings, OUTCOME, Lineside.OUTCOMES);
    return h("section", { class: "machine", "data-machine": machine.machine },
      h("h3", null, machine.machine, bookings === "" ? null : h("small", null, T("Bookings: ", "预约："), bookings)),
      h("dl", { class: "figures" },
        figure(T("Active in sessions", "上机有效机时"), hours(machine.active_ms - machine.outside_ms), "h"), figure(T("of it external", "其中对外机时"), hours(external), "h"),
        figure(T("Coverage", "覆盖率"), share(machine.coverage_pm)), figure(T("Active outside sessions", "上机记录外有效"), hours(machine.outside_ms), "h"),
        machine.energy_session_mwh === null ? null : figure(T("Energy in sessions", "上机电量"), kwh(machine.energy_session_mwh)),
        machine.energy_idle_mwh === null ? null : figure(T("Energy outside", "其余电量"), kwh(machine.energy_idle_mwh))),
      hoursTable(machine), h("h4", null, T("States in the period", "时段内各状态")), stateBar(machine.ms, machine.period_ms), legend(machine.ms, machine.period_ms),
      timeline(machine, totals), sessionTable(machine));
  }

  // ---- One bundle ------------------------------------------------------------------------------------------

  function checkRow({ check, status, said, found }) {
    const rest = said.slice(1);
    return h("li", { class: status, "data-check": check, "data-status": status }, icon(status, t(STATUS[status]), "icon"), h("span", { class: "name" }, t(CHECK[check])),
      h("div", { class: "words" }, t(said[0]), found > 1 ? h("details", null, h("summary", null, T(`and ${found - 1} more`, `另有 ${found - 1} 项`)), h("ul", null, rest.map((one) => h("li", null, t(one))),
        found > said.length ? h("li", null, T(`${found - said.length} more are not listed`, `另有 ${found - said.length} 项未列出`)) : null)) : null));
  }
  function facts(item, { manifest, totals, cosigned }) {
    const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));
    const of = manifest === null ? [] : [
      fact(T("Site and gateway", "平台与网关"), `${manifest.site} / ${manifest.gateway}`),
      fact(T("Period (UTC+8)", "时段（UTC+8）"), `${local(manifest.from)} – ${local(manifest.to)}`),
      fact(T("Ledger", "台账"), Lineside.named(manifest.origin)), fact(T("Records in the bundle", "包内记录"), T(`${manifest.end - manifest.first} of ${manifest.size}`, `${manifest.end - manifest.first} / ${manifest.size}`)),
      fact(T("Newest head cosigned (UTC+8)", "最近联署（UTC+8）"), cosigned === null ? T("by no trusted witness", "无可信见证方") : local(cosigned)),
      fact(T("Made by", "制作程序"), `${Lineside.named(manifest.by)}, ${local(manifest.made)}`)];
    const root = totals === null ? [] : [fact(T("Root", "根散列"), totals.root)];
    return h("section", null, h("dl", { class: "facts" }, fact(T("File", "文件"), `${Lineside.named(item.file.name)} (${(item.file.size / 1e6).toFixed(2)} MB)`), of, root));
  }
  /** One line a machine: coverage beside every figure. */
  function overview(totals) {
    const classes = CLASSES.filter((name) => totals.machines.some(({ hours: of }) => of[name]));
    const of = (machine, name) => GRADES.reduce((n, grade) => n + (((machine.hours[name] || {})[grade]) || 0), 0);
    const cell = (ms) => h("td", { class: "n" }, ms > 0 ? hours(ms) : "–");
    return h("div", { class: "wide" }, h("table", { class: "hours" }, h("thead", null, h("tr", null, h("th", { scope: "col" }, T("Machine", "设备")), h("th", { scope: "col", class: "n" }, T("Coverage", "覆盖率")),
      classes.map((name) => h("th", { scope: "col", class: "n" }, t(CLASS[name]))), h("th", { scope: "col", class: "n" }, T("In sessions, h", "上机机时 h")), h("th", { scope: "col", class: "n" }, T("of it A and B", "其中 A、B 级")))),
    h("tbody", null, totals.machines.map((machine) => {
      const good = CLASSES.reduce((n, name) => n + ((machine.hours[name] || {}).A || 0) + ((machine.hours[name] || {}).B || 0), 0);
      return h("tr", null, h("th", { scope: "row" }, machine.machine), h("td", { class: "n" }, share(machine.coverage_pm)), classes.map((name) => cell(of(machine, name))), cell(machine.active_ms - machine.outside_ms), cell(good));
    }))));
  }
  function report({ verdict, totals }) {
    if (totals === null) return [];
    const key = h("p", { class: "key" }, GRADES.map((grade) => [h("span", { class: `grade ${grade}` }, grade), ` ${t(GRADE[grade])}  `]).flat());
    const sections = [h("section", null, h("h3", null, T("Hours by machine and class", "按设备与类别的机时")), overview(totals), key), ...totals.machines.map((machine) => machineSection(machine, totals))];
    if (totals.machines.length === 0) sections.push(h("section", null, T("No machine has anything in this period.", "该时段内没有设备数据。")));
    if (verdict !== "failed") return sections;
    return [h("details", { class: "worthless" }, h("summary", null, T("What its records would add up to, worth nothing as evidence", "其记录的合计，不可作为证据")), sections)];
  }
  function render(item) {
    const name = Lineside.named(item.file.name);
    if (item.error !== null) {
      return h("article", { "data-verdict": "error", "aria-label": name }, h("div", { class: "verdict failed" }, icon("failed", "", "mark"), h("h2", null, name), h("p", { class: "error" }, t(item.error))));
    }
    if (item.result === null) {
      const bar = h("progress", { max: 1, value: item.progress, "aria-label": name });
      item.bar = bar;
      return h("article", { "aria-busy": "true" }, h("div", { class: "busy" }, h("strong", null, T(`Checking ${name}`, `正在核验 ${name}`)), h("button", { type: "button", onclick: () => cancel(item) }, T("Stop", "停止")), bar));
    }
    const { verdict, checks } = item.result;
    const [word, words, kind] = VERDICT[verdict];
    return h("article", { "data-verdict": verdict, "aria-label": name },
      h("div", { class: `verdict ${verdict}` }, icon(kind, "", "mark"), h("h2", null, t(word)), h("p", null, t(words))),
      facts(item, item.result), h("section", null, h("h3", null, T("Thirteen checks", "十三项核验")), h("ul", { class: "checks" }, checks.map(checkRow))), report(item.result));
  }

  // ---- The page --------------------------------------------------------------------------------------------

  function trustWords() {
    const { parsed, error, name } = state.trust;
    if (error !== null) return t(error);
    if (parsed === null) return T("No trust file yet: what is found is at most self-consistent. Drop or paste yours.", "尚无信任文件：核验结果至多为“自洽”。请拖入或粘贴。");
    const { gateways, witnesses, issuers, maps } = parsed;
    return T(`Trust file ${name}: gateways ${gateways.length}, witnesses ${witnesses.length}, issuers ${issuers.length}, approved maps ${maps.length}`,
      `信任文件 ${name}：网关 ${gateways.length}，见证方 ${witnesses.length}，签发方 ${issuers.length}，已批准点表 ${maps.length}`);
  }
  function words() {
    document.documentElement.lang = T("en", "zh-CN");
    document.title = T("Lineside: verify usage evidence", "线边 Lineside：核验机时证据");
    byId("title").textContent = T("Lineside · Verify usage evidence", "线边 Lineside · 核验机时证据");
    byId("lead").textContent = T("Nothing leaves this computer: the page has no network access.", "数据不离开本机：本页没有网络访问权限。");
    byId("drop-title").textContent = T("Drop evidence bundles and your trust file here", "将证据包和信任文件拖到此处");
    byId("drop-words").textContent = T("One or more .zip files, with trust.toml at the same time or later", "一个或多个 .zip 文件，trust.toml 可同时或稍后加入");
    byId("pick-words").textContent = T("Choose files…", "选择文件…");
    byId("trust-paste").textContent = T("Paste", "粘贴");
    byId("trust-use").textContent = T("Use this", "使用");
    byId("trust-text").setAttribute("aria-label", T("Text of the trust file", "信任文件内容"));
    byId("print").textContent = T("Print", "打印");
    byId("foot").textContent = T("A second verifier, written from proto/EVIDENCE.md; it must say what lineside-verify says of the same bundle.",
      "根据 proto/EVIDENCE.md 独立编写的第二个核验程序；对同一证据包的结论必须与 lineside-verify 相同。");
    for (const [id, lang] of [["en", "en"], ["zh", "zh"]]) byId(id).setAttribute("aria-pressed", String(state.lang === lang));
    const line = byId("trust-line");
    line.textContent = trustWords();
    line.className = state.trust.error === null ? "" : "error";
    byId("drop").className = state.items.length > 0 ? "drop small" : "drop";
    byId("print").hidden = state.items.length === 0;
  }
  function renderAll() {
    words();
    byId("results").replaceChildren(...state.items.map((item) => { item.node = render(item); return item.node; }));
  }
  function renderItem(item) {
    const node = render(item);
    if (item.node) item.node.replaceWith(node);
    item.node = node;
    if (item.result !== null) byId("status").textContent = `${Lineside.named(item.file.name)}: ${t(VERDICT[item.result.verdict][0])}`;
  }

  // ---- Work ------------------------------------------------------------------------------------------------

  /** What the worker runs beside the verifier: one bundle after the other, with what it has done so far. */
  const WORKER = `
    self.onmessage = async ({ data: { file, trust } }) => {
      let told = 0;
      const progress = (part) => { const now = Date.now(); if (now - told > 80) { told = now; self.postMessage({ part }); } };
      try {
        self.postMessage({ result: await Lineside.verify(file, trust === "" ? null : Lineside.parseTrust(trust), progress) });
      } catch (error) { self.postMessage({ broken: String(error && error.message || error) }); }
    };
    self.postMessage({ ready: true });`;
  /** A worker that has answered once; null where the browser gives none to a page from a file. */
  function newWorker() {
    return new Promise((resolve) => {
      let worker = null, url = null;
      try {
        url = URL.createObjectURL(new Blob([byId("core").textContent, WORKER], { type: "text/javascript" }));
        worker = new Worker(url);
      } catch { resolve(null); return; }
      const done = (value) => { clearTimeout(timer); URL.revokeObjectURL(url); if (value === null) worker.terminate(); resolve(value); };
      const timer = setTimeout(() => done(null), 5000);
      worker.onerror = (event) => { event.preventDefault(); done(null); };
      worker.onmessage = () => done(worker);
    });
  }
  const STOPPED = S("Stopped.", "已停止。");
  const broken = (words) => S(`This file could not be checked here: ${Lineside.named(words)}`, `无法在此核验该文件：${Lineside.named(words)}`);
  const cannotRead = S("The file can no longer be read. Drop it again.", "文件已无法读取，请重新拖入。");

  async function check(item) {
    item.worker = state.noWorker ? null : await newWorker();
    if (item.isStopped) return;
    const progress = (part) => { item.progress = part; if (item.bar) item.bar.value = part; };
    if (item.worker === null) {
      state.noWorker = true;
      try {
        item.result = await Lineside.verify(item.file, state.trust.parsed, (part) => { if (item.isStopped) throw new Error("stopped"); progress(part); });
      } catch (error) { if (!item.isStopped) item.error = error && error.name === "NotReadableError" ? cannotRead : broken(error && error.message || error); }
      return;
    }
    await new Promise((resolve) => {
      item.stop = resolve;
      item.worker.onmessage = ({ data }) => {
        if (data.part !== undefined) progress(data.part);
        else { if (data.result) item.result = data.result; else item.error = broken(data.broken); resolve(); }
      };
      item.worker.onerror = (event) => { event.preventDefault(); item.error = broken(event.message || "out of memory"); resolve(); };
      item.worker.postMessage({ file: item.file, trust: state.trust.parsed === null ? "" : state.trust.text });
    });
    item.worker.terminate();
  }
  function cancel(item) {
    item.isStopped = true;
    item.error = STOPPED;
    if (item.worker) item.worker.terminate();
    if (item.stop) item.stop();
    renderItem(item);
  }
  async function work() {
    if (state.busy) return;
    state.busy = true;
    for (;;) {
      const item = state.items.find((one) => one.result === null && one.error === null);
      if (!item) break;
      await check(item);
      if (!item.isStopped && state.items.includes(item)) renderItem(item);
    }
    state.busy = false;
  }
  const newItem = (file) => ({ file, result: null, error: null, progress: 0, isStopped: false, worker: null, stop: null, bar: null, node: null });

  function trustText(text, name) {
    state.trust = { name, text, error: null, parsed: null };
    if (text.trim() !== "") {
      try { state.trust.parsed = Lineside.parseTrust(text); } catch (error) { state.trust.error = error.said || broken(error.message); }
    }
    byId("trust-text").value = text;
    if (state.trust.error !== null) byId("trust").open = true;
    // What was found with another trust file does not hold any more.
    for (const item of state.items) { item.isStopped = true; if (item.worker) item.worker.terminate(); if (item.stop) item.stop(); }
    state.items = state.items.map(({ file }) => newItem(file));
  }
  async function take(files) {
    const isTrust = (file) => /\.toml$/i.test(file.name);
    for (const file of files.filter(isTrust).slice(-1)) {
      if (file.size > 4 * 2 ** 20) state.trust = { name: file.name, text: "", parsed: null, error: S("The trust file is longer than 4 MiB.", "信任文件超过 4 MiB。") };
      else trustText(await file.text(), Lineside.named(file.name));
    }
    state.items.push(...files.filter((file) => !isTrust(file)).map(newItem));
    renderAll();
    await work();
  }

  function start() {
    const over = (on) => byId("drop").classList.toggle("over", on);
    for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => { event.preventDefault(); over(true); });
    document.addEventListener("dragleave", (event) => { if (event.relatedTarget === null) over(false); });
    document.addEventListener("drop", (event) => { event.preventDefault(); over(false); take([...event.dataTransfer.files]); });
    byId("pick").addEventListener("change", (event) => { const files = [...event.target.files]; event.target.value = ""; take(files); });
    byId("trust-use").addEventListener("click", () => { trustText(byId("trust-text").value, T("(pasted)", "（粘贴）")); renderAll(); work(); });
    byId("print").addEventListener("click", () => window.print());
    for (const lang of ["en", "zh"]) byId(lang).addEventListener("click", () => { state.lang = lang; renderAll(); });
    renderAll();
  }
  start();
  return { results: () => state.items.map(({ file, result, error }) => ({ file: file.name, result, error })), isBusy: () => state.busy, hasWorker: () => !state.noWorker };
})();
