// Draws the lanes, the picture of all nodes, the curves and the list of events from the JSON of sim/report/view.py.
// One state (range of time, filter, chosen node and line); every change of it draws anew. Links are #node-… and #line-….
"use strict";
(() => {
  const d = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const esc = (s) => String(s).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const span = Math.max(d.end - d.start, 1e-3);
  const MAX_SHOWN = 40, MAX_EVENTS = 150, SMALLEST = 1e-4;
  const s = { t0: d.start, t1: d.end, filter: "", node: null, line: null, count: MAX_EVENTS };
  const byLine = new Map(d.events.map((e) => [e[0], e]));
  const order = new Map(d.nodes.map((n, i) => [n[0], i]));
  const seconds = (t) => `${t.toFixed(s.t1 - s.t0 < 0.5 ? 6 : 3)} s`;
  const name = (i) => (i < 0 ? "–" : d.nodes[i][0]);

  // --- which nodes

  function matcher(text) {
    const parts = text.trim().split(/[\s,]+/).filter(Boolean);
    const tests = parts.map((part) => {
      const body = part.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
      const exact = new RegExp(`^${body}$`, "i"), within = new RegExp(body, "i");
      if (part.includes("=")) return (n) => n[1].split(" ").some((label) => exact.test(label));
      const one = /[*?]/.test(part) || order.has(part) ? exact : within;
      return (n) => one.test(n[0]);
    });
    return (n) => tests.some((test) => test(n));
  }
  function shown() {
    let found = s.filter.trim() ? d.nodes.map((_, i) => i).filter((i) => matcher(s.filter)(d.nodes[i])) : d.lanes.slice();
    const all = found.length;
    found = found.slice(0, MAX_SHOWN);
    if (s.node !== null && s.node >= 0 && !s.filter.trim() && !found.includes(s.node)) found.push(s.node);
    const told = s.filter.trim() ? `${all} of ${d.nodes.length} nodes match` : d.lanes.length < d.nodes.length ? `${d.lanes.length} of ${d.nodes.length} nodes have a lane` : "";
    $("found").textContent = told + (all > MAX_SHOWN ? `; the first ${MAX_SHOWN} are shown` : "");
    return found.sort((a, b) => a - b);
  }

  // --- axes

  function ticks(a, b, most) {
    const raw = (b - a) / most, size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((k) => k * size).find((k) => k >= raw) || raw;
    const found = [];
    for (let t = Math.ceil(a / step - 1e-9) * step; t <= b + 1e-12; t += step) found.push(Number(t.toPrecision(12)));
    return found;
  }
  function frame(width, left) {
    const right = width - 10;
    const x = (t) => left + ((t - s.t0) / (s.t1 - s.t0)) * (right - left);
    const cut = (t) => Math.min(Math.max(x(t), left), right);
    return { x, cut, left, right, width, time: (px) => s.t0 + ((px - left) / (right - left)) * (s.t1 - s.t0) };
  }
  const inside = (t) => t >= s.t0 && t <= s.t1;
  function timeAxis(f, top, bottom, labels = true) {
    let out = "";
    for (const t of ticks(s.t0, s.t1, f.width < 640 ? 4 : 10)) {
      out += `<line class="rule" x1="${f.x(t)}" x2="${f.x(t)}" y1="${top}" y2="${bottom}"/>`;
      if (labels) out += `<text x="${f.x(t)}" y="${bottom + 14}" text-anchor="middle">${t}</text>`;
    }
    if (labels) out += `<text class="soft" x="${f.right}" y="${bottom + 28}" text-anchor="end">${d.unit === "s" ? "seconds" : "virtual seconds"} since every node was ready</text>`;
    if (d.ending !== null && inside(d.ending) && d.ending < d.end) {
      out += `<line x1="${f.x(d.ending)}" x2="${f.x(d.ending)}" y1="${top}" y2="${bottom}" stroke="var(--grey)"/><text class="soft" x="${f.x(d.ending) - 3}" y="${top + 9}" text-anchor="end">end</text>`;
    }
    return out;
  }
  const left = (indices, width) => width < 640 ? 10 : Math.min(220, 24 + 7.2 * Math.max(6, ...indices.map((i) => d.nodes[i][0].length)));
  const short = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

  // --- lanes

  const BAR = 12, ROW = 11;
  const LIFE = ["var(--starting)", "var(--up)", "var(--still)", "var(--still)", "var(--starting)", "var(--grey)"];
  const color = (status) => status === "OK" ? "var(--ok)" : status === "CANCELLED" ? "var(--grey)" : status === "open" ? "var(--record)" : "var(--bad)";

  function bar(f, a, b, y, h, fill, extra = "") {
    if (b < s.t0 || a > s.t1) return "";
    const x0 = f.cut(a), x1 = Math.max(f.cut(b), x0 + 1);
    return `<rect x="${x0.toFixed(1)}" y="${y}" width="${(x1 - x0).toFixed(1)}" height="${h}" fill="${fill}" ${extra}/>`;
  }
  function streamRows(i) {
    const rows = [];
    for (const one of d.streams) {
      if (one[0] !== i) continue;
      const row = rows.find((r) => (r[r.length - 1][2] ?? Infinity) <= one[1]);
      if (row) row.push(one); else if (rows.length < 5) rows.push([one]);
    }
    return rows;
  }
  function lane(f, i, top) {
    const [id, , state, life, ends, steps] = d.nodes[i];
    const narrow = f.width < 640, y = top + (narrow ? 18 : 5);
    let out = narrow
      ? `<a href="#node-${encodeURIComponent(id)}"><text x="${f.left}" y="${top + 13}">${esc(short(id, 40))}</text></a>`
      : `<a href="#node-${encodeURIComponent(id)}"><text x="${f.left - 8}" y="${y + 10}" text-anchor="end">${esc(short(id, 27))}</text></a>`;
    let depth = y + BAR + 2, body = "";
    for (const [a, b, kind] of life) {
      body += bar(f, a, b ?? d.end, y, BAR, LIFE[kind], kind === 2 || kind === 3 ? 'stroke="var(--ink)" stroke-dasharray="2 2"' : "");
    }
    const starts = life.filter((l) => l[2] === 0).map((l) => l[0]);
    for (const [t, how] of ends) {
      if (how === "exited") {
        if (inside(t) && t < (d.ending ?? d.end) - 1e-3) body += `<rect x="${f.x(t) - 4}" y="${y + 2}" width="8" height="8" fill="var(--ink)"><title>ended in order at ${t} s</title></rect>`;
        continue;
      }
      const until = Math.min(...starts.filter((a) => a > t), d.ending ?? d.end);
      if (until > s.t0 && t < s.t1 && until > t) body += `<line x1="${f.cut(t)}" x2="${f.cut(until)}" y1="${y + 6}" y2="${y + 6}" stroke="var(--bad)" stroke-dasharray="1 3" stroke-width="2"/>`;
      if (inside(t)) body += `<path d="M${f.x(t) - 5} ${y + 1}l10 10m0 -10l-10 10" stroke="var(--bad)" stroke-width="3"><title>${esc(how)} at ${t} s</title></path>`;
    }
    const doubted = steps.filter((p) => p[1] || p[2] || p[3]);
    if (doubted.length) {
      steps.forEach(([t, suspected, failed, gone, others], k) => {
        const until = Math.min(k + 1 < steps.length ? steps[k + 1][0] : d.end, d.ending ?? d.end);
        let base = depth + 14;
        for (const [count, fill] of [[failed, "var(--failed)"], [suspected, "var(--doubt)"], [gone, "var(--grey)"]]) {
          if (!count || until <= t) continue;
          const h = Math.max(2, (14 * count) / Math.max(others, 1));
          base -= h;
          body += bar(f, t, until, base, h, fill);
        }
        const count = failed || suspected || gone;
        if (count && f.cut(until) - f.cut(t) > 46) {
          body += `<text x="${(f.cut(t) + f.cut(until)) / 2}" y="${depth + 11}" text-anchor="middle" style="paint-order:stroke;stroke:var(--paper);stroke-width:3px">${count}/${others}</text>`;
        }
      });
      depth += 16;
    }
    for (const row of streamRows(i)) {
      for (const [, a, b, status, text] of row) {
        const end = b ?? d.end;
        body += bar(f, a, end, depth, ROW - 2, color(status), 'fill-opacity=".4"');
        if (inside(end)) body += `<circle cx="${f.x(end)}" cy="${depth + 4.5}" r="3.5" fill="${color(status)}"><title>${esc(text)}: ${esc(status)} at ${end} s</title></circle>`;
        const room = f.cut(end) - f.cut(a), label = status === "OK" ? text : `${text}: ${status}`;
        if (end > s.t0 && a < s.t1 && room > 6.3 * label.length) body += `<text x="${f.cut(a) + 4}" y="${depth + 8.5}" style="font-size:10px">${esc(label)}</text>`;
      }
      depth += ROW;
    }
    const calls = d.unary[i];
    if (calls) {
      for (const [t, ok] of calls) if (inside(t)) body += `<rect x="${(f.x(t) - 0.75).toFixed(1)}" y="${depth + (ok ? 2 : 0)}" width="1.5" height="${ok ? 6 : 9}" fill="${ok ? "var(--ok)" : "var(--bad)"}"/>`;
      depth += ROW;
    }
    const records = d.records.of[i];
    if (records) {
      let last = -99;
      for (const [t, k] of records) {
        if (!inside(t)) continue;
        const x = f.x(t);
        body += `<path d="M${x.toFixed(1)} ${depth + 1}l3.5 4l-3.5 4l-3.5 -4z" fill="var(--record)"><title>${esc(d.records.names[k])} at ${t} s</title></path>`;
        if (x - last > 12 + 6.2 * d.records.names[k].length && records.length < 40) { body += `<text x="${x + 6}" y="${depth + 9}" style="font-size:10px">${esc(d.records.names[k])}</text>`; last = x; }
      }
      depth += ROW;
    }
    let ground = "", flags = "";
    for (const [number, , t, undone, targets] of d.faults) {
      if (!targets || !targets.includes(i)) continue;
      const until = Math.min(undone ?? d.end, d.ending ?? d.end);
      ground += bar(f, t, until, top + 1, depth - top, "var(--hit)");
      if (inside(t)) flags += `<g><circle class="badge" cx="${f.x(t)}" cy="${y + 6}" r="8"/><text class="badge-text" x="${f.x(t)}" y="${y + 9.5}" text-anchor="middle">${number}</text></g>`;
    }
    for (const [node, t, letter, what] of d.marks) {
      if (node !== i || !inside(t)) continue;
      flags += `<g class="answer-mark"><title>${esc(what)}</title><path class="letter-mark" d="M${f.x(t)} ${y + 15}l-8 -12v-8h16v8z"/><text class="letter-text" x="${f.x(t)}" y="${y + 5}" text-anchor="middle">${letter}</text></g>`;
    }
    const bottom = Math.max(depth + 4, y + BAR + 6);
    return { svg: `<g class="lane" data-node="${esc(id)}"><title>${esc(id)}: ${esc(state)}</title>${ground}${out}${body}${flags}</g><line class="rule" x1="0" x2="${f.width}" y1="${bottom}" y2="${bottom}"/>`, bottom, middle: y + BAR / 2 };
  }

  let current = null;
  function drawLanes() {
    const box = $("lanes"), width = Math.max(box.clientWidth, 280), indices = shown(), f = frame(width, left(indices, width));
    // Faults above the lanes: their numbers and, where there is room, what they are.
    const rows = [];
    let head = "";
    for (const [number, label, t] of d.faults) {
      if (!inside(t)) continue;
      const text = `${number} ${short(label, width < 900 ? 44 : 90)}`, x = f.x(t), w = width < 640 ? 20 : 16 + 6.6 * text.length;
      const flip = x + w > f.right, a = flip ? x - w : x, b = flip ? x : x + w;
      let row = rows.findIndex((r) => r.every(([p, q]) => b < p || a > q));
      if (row < 0) { if (rows.length >= 4) continue; row = rows.push([]) - 1; }
      rows[row].push([a, b]);
      head += `<a href="#fault-${number}"><text x="${flip ? x - 4 : x + 4}" y="${12 + 13 * row}" text-anchor="${flip ? "end" : "start"}">${esc(width < 640 ? number : text)}</text></a>`;
    }
    const top = 6 + 13 * rows.length;
    let y = top, body = "";
    const places = new Map();
    for (const i of indices) { const l = lane(f, i, y); body += l.svg; places.set(i, l.middle); y = l.bottom; }
    if (!indices.length) { body += `<text x="${f.left}" y="${y + 20}">no node matches “${esc(s.filter)}”</text>`; y += 32; }
    let lines = "";
    for (const [, , t] of d.faults) if (inside(t)) lines += `<line class="fault" x1="${f.x(t)}" x2="${f.x(t)}" y1="2" y2="${y}"/>`;
    let chosen = "";
    if (s.line !== null) {
      const path = chain(s.line).filter((e) => places.has(e[2]));
      chosen = `<polyline class="chosen" points="${path.map((e) => `${f.cut(e[1])},${places.get(e[2])}`).join(" ")}"/>`;
      const e = byLine.get(s.line);
      if (e && places.has(e[2])) chosen += `<circle class="chosen" cx="${f.cut(e[1])}" cy="${places.get(e[2])}" r="9"/>`;
    }
    box.innerHTML = `<svg height="${y + 34}" viewBox="0 0 ${width} ${y + 34}">${timeAxis(f, top, y)}${lines}${body}${head}${chosen}<rect id="drag" y="${top}" height="${y - top}" width="0" x="0" fill="var(--link)" fill-opacity=".2"/></svg>`;
    current = f;
    $("range").textContent = `${seconds(s.t0)} to ${seconds(s.t1)}`;
    legend(indices);
  }
  function legend(indices) {
    const has = { start: 0, exited: 0, still: 0, down: 0, doubt: 0, failed: 0, left: 0, streams: 0, unary: 0, records: 0, hit: 0 };
    for (const i of indices) {
      const [, , , life, ends, steps] = d.nodes[i];
      for (const l of life) { if (l[2] === 0 || l[2] === 4) has.start = 1; if (l[2] === 2 || l[2] === 3) has.still = 1; }
      if (ends.some((e) => e[1] !== "exited")) has.down = 1;
      if (ends.some((e) => e[1] === "exited" && e[0] < (d.ending ?? d.end) - 1e-3)) has.exited = 1;
      for (const p of steps) { if (p[1]) has.doubt = 1; if (p[2]) has.failed = 1; if (p[3]) has.left = 1; }
      if (d.unary[i]) has.unary = 1;
      if (d.records.of[i]) has.records = 1;
      if (d.faults.some((x) => x[4] && x[4].includes(i))) has.hit = 1;
    }
    if (d.streams.some((x) => indices.includes(x[0]))) has.streams = 1;
    const box = (fill, extra = "") => `<svg width="22" height="12"><rect width="22" height="12" fill="${fill}" ${extra}/></svg>`;
    const items = [[1, box("var(--up)"), "up"], [has.start, box("var(--starting)"), "starting or stopping"], [has.still, box("var(--still)", 'stroke="var(--ink)" stroke-dasharray="2 2"'), "stands still (pause or block)"],
      [has.down, '<svg width="22" height="12"><path d="M6 1l10 10m0 -10l-10 10" stroke="var(--bad)" stroke-width="3"/></svg>', "down (crash, kill or error)"],
      [has.exited, '<svg width="22" height="12"><rect x="7" y="2" width="8" height="8" fill="var(--ink)"/></svg>', "ended in order"],
      [has.doubt, box("var(--doubt)"), "suspected by k of n others"], [has.failed, box("var(--failed)"), "held for failed by k of n others"], [has.left, box("var(--grey)"), "known to have left"],
      [has.streams, box("var(--ok)", 'fill-opacity=".4"'), "stream: green OK, grey cancelled, red error, violet open"],
      [has.unary, '<svg width="22" height="12"><rect x="4" y="3" width="2" height="7" fill="var(--ok)"/><rect x="14" y="1" width="2" height="10" fill="var(--bad)"/></svg>', "end of a unary call: green OK, red and taller not"],
      [has.records, '<svg width="22" height="12"><path d="M11 2l4 4l-4 4l-4 -4z" fill="var(--record)"/></svg>', "record of the application"], [has.hit, box("var(--hit)"), "struck by a fault"]];
    $("legend").innerHTML = items.filter((x) => x[0]).map((x) => `<span>${x[1]}${x[2]}</span>`).join("");
  }

  // --- all nodes

  function drawDensity() {
    const box = $("density"), q = d.density;
    if (!box || !q) return;
    const width = Math.max(box.clientWidth, 280), f = frame(width, width < 640 ? 10 : left(d.lanes, width)), h = Math.max(1, Math.min(6, Math.floor(300 / q.states.length)));
    const fills = [null, null, "var(--doubt)", "var(--still)", "var(--failed)", "var(--bad)", null];
    let out = "";
    q.states.forEach((row, r) => {
      for (let c = 0; c < row.length;) {
        const key = row[c] + (fills[row[c]] ? "" : q.levels[r][c]);
        let e = c + 1;
        while (e < row.length && row[e] + (fills[row[e]] ? "" : q.levels[r][e]) === key) e++;
        const a = q.start + c * q.width, b = q.start + e * q.width, state = Number(row[c]);
        if (b > s.t0 && a < s.t1 && state !== 0) {
          const fill = fills[state] || (state === 6 ? "var(--line)" : `rgba(var(--act), ${(0.12 + 0.08 * q.levels[r][c]).toFixed(2)})`);
          out += `<path d="M${f.cut(a).toFixed(1)} ${r * h}H${f.cut(b).toFixed(1)}v${h}H${f.cut(a).toFixed(1)}z" style="fill:${fill}"/>`;
        }
        c = e;
      }
    });
    const total = q.states.length * h;
    box.innerHTML = `<svg height="${total + 34}" viewBox="0 0 ${width} ${total + 34}">${out}${timeAxis(f, 0, total)}${width < 640 ? "" : `<text x="${f.left - 8}" y="10" text-anchor="end">${esc(short(d.nodes[0][0], 27))}</text><text x="${f.left - 8}" y="${total}" text-anchor="end">${esc(short(d.nodes[d.nodes.length - 1][0], 27))}</text>`}</svg><div class="legend" style="padding:0 .6rem .4rem">${[["var(--doubt)", "suspected"], ["var(--failed)", "held for failed, though up"], ["var(--bad)", "down"], ["var(--still)", "stands still"], ["var(--line)", "ended"]].map(([c, t]) => `<span><svg width="14" height="12"><rect width="14" height="12" fill="${c}"/></svg>${t}</span>`).join("")}</div>`;
    box.firstChild.onclick = (event) => {
      const r = Math.floor(((event.clientY - box.firstChild.getBoundingClientRect().top) / box.firstChild.getBoundingClientRect().height) * (total + 34) / h);
      if (r >= 0 && r < q.states.length) filter(d.nodes.slice(r * q.each, (r + 1) * q.each).map((n) => n[0]).join(", "));
    };
  }

  // --- curves

  function curve(id, draw) {
    const box = $(`curve-${id}`);
    if (!box) return;
    const width = Math.max(box.clientWidth, 280), f = frame(width, width < 640 ? 52 : Math.max(64, left(shown(), width))), height = 170, top = 22, bottom = top + height;
    const { svg, keys } = draw(f, top, bottom);
    let lines = "";
    for (const [, , t] of d.faults) if (inside(t)) lines += `<line class="fault" x1="${f.x(t)}" x2="${f.x(t)}" y1="${top}" y2="${bottom}"/>`;
    box.innerHTML = `<svg height="${bottom + 34}" viewBox="0 0 ${width} ${bottom + 34}">${timeAxis(f, top, bottom)}${svg}${lines}</svg><div class="legend" style="padding:0 .6rem .4rem">${keys.map(([c, t, dash]) => `<span><svg width="22" height="8"><line x1="0" x2="22" y1="4" y2="4" stroke="${c}" stroke-width="3" stroke-dasharray="${dash || ""}"/></svg>${esc(t)}</span>`).join("")}</div>`;
  }
  function scale(f, high, top, bottom, unit) {
    const y = (v) => bottom - (v / high) * (bottom - top);
    let svg = `<text class="soft" x="4" y="12">${unit}</text>`;
    for (const v of ticks(0, high, 4)) svg += `<line class="rule" x1="${f.left}" x2="${f.right}" y1="${y(v)}" y2="${y(v)}"/><text x="${f.left - 5}" y="${y(v) + 4}" text-anchor="end">${v.toLocaleString("en")}</text>`;
    return { y, svg };
  }
  function drawCurves() {
    const { messages, latency, calls } = d.series;
    if (messages) curve("messages", (f, top, bottom) => {
      const looks = { sent: ["var(--up)", ""], received: ["var(--ok)", "6 3"], dropped: ["var(--bad)", "2 2"] };
      const at = (k) => messages.start + k * messages.width;
      const seen = Object.values(messages.rates).flatMap((of) => of.filter((_, k) => at(k + 1) > s.t0 && at(k) < s.t1));
      const a = scale(f, 1.05 * Math.max(...seen, 1), top, bottom, "messages / s");
      let svg = a.svg;
      for (const [key, rates] of Object.entries(messages.rates)) {
        let path = "";
        rates.forEach((v, k) => { if (at(k + 1) > s.t0 && at(k) < s.t1) path += `${path ? "L" : "M"}${f.cut(at(k)).toFixed(1)} ${a.y(v).toFixed(1)}H${f.cut(at(k + 1)).toFixed(1)}`; });
        svg += `<path d="${path}" fill="none" stroke="${looks[key][0]}" stroke-dasharray="${looks[key][1]}" stroke-width="1.6"/>`;
      }
      return { svg, keys: Object.entries(looks).map(([key, l]) => [l[0], key, l[1]]) };
    });
    if (latency) curve("latency", (f, top, bottom) => {
      const values = Object.values(latency.curves).flat().map((p) => p[1]).filter((v) => v > 0);
      let low = Math.floor(Math.log10(Math.min(...values, 1))), high = Math.ceil(Math.log10(Math.max(...values, 1e-6)));
      if (high <= low) high = low + 1;
      const y = (v) => bottom - ((Math.log10(Math.max(v, 1e-9)) - low) / (high - low)) * (bottom - top);
      const said = (v) => v >= 0.9999 ? `${+v.toPrecision(3)} s` : v >= 0.0009999 ? `${+(v * 1e3).toPrecision(3)} ms` : `${+(v * 1e6).toPrecision(3)} µs`;
      let svg = '<text class="soft" x="4" y="12">latency</text>';
      for (let p = low; p <= high; p++) svg += `<line class="rule" x1="${f.left}" x2="${f.right}" y1="${y(10 ** p)}" y2="${y(10 ** p)}"/><text x="${f.left - 5}" y="${y(10 ** p) + 4}" text-anchor="end">${said(10 ** p)}</text>`;
      const keys = [];
      for (const [key, points] of Object.entries(latency.curves)) {
        const c = key.startsWith("udp") ? "var(--up)" : "var(--bad)", dash = key.endsWith("median") ? "" : "2 3";
        keys.push([c, key, dash]);
        let path = "", before = -1e9;
        for (const [t, v] of points) { if (inside(t)) { path += `${t - before > 1.5 * latency.width ? "M" : "L"}${f.x(t).toFixed(1)} ${y(v).toFixed(1)}`; svg += `<circle cx="${f.x(t).toFixed(1)}" cy="${y(v).toFixed(1)}" r="2" fill="${c}"/>`; before = t; } }
        svg += `<path d="${path}" fill="none" stroke="${c}" stroke-dasharray="${dash}" stroke-width="1.6"/>`;
      }
      return { svg, keys };
    });
    if (calls) curve("calls", (f, top, bottom) => {
      const colors = calls.kinds.map((k, i) => (k === "OK" ? "var(--ok)" : k === "CANCELLED" ? "var(--grey)" : ["var(--bad)", "var(--doubt)", "var(--record)", "var(--failed)"][i % 4]));
      const seen = calls.cells.filter((c) => c[0] + calls.width > s.t0 && c[0] < s.t1);
      const a = scale(f, 1.05 * Math.max(...seen.map((c) => c.slice(1).reduce((p, q) => p + q, 0) / calls.width), 1e-3), top, bottom, "calls ended / s");
      let svg = a.svg;
      for (const cell of seen) {
        let base = 0;
        cell.slice(1).forEach((n, k) => { if (n) { svg += bar(f, cell[0], cell[0] + calls.width, a.y(base + n / calls.width), a.y(base) - a.y(base + n / calls.width), colors[k]); base += n / calls.width; } });
      }
      return { svg, keys: calls.kinds.map((k, i) => [colors[i], k]) };
    });
  }

  // --- events

  function chain(line) {
    const found = [];
    for (let e = byLine.get(line); e && found.length < 20; e = byLine.get(e[3])) found.unshift(e);
    return found;
  }
  function drawEvents() {
    const lanes = new Set(s.node !== null ? [s.node] : [...shown(), -1]);
    const found = d.events.filter((e) => (lanes.has(e[2]) && inside(e[1])) || e[0] === s.line);
    let from = 0;
    if (s.line !== null) from = Math.max(0, found.findIndex((e) => e[0] === s.line) - Math.floor(MAX_EVENTS / 3));
    const rows = found.slice(from, from + s.count);
    $("events-title").textContent = `Events of ${s.node !== null ? (s.node < 0 ? "the run" : name(s.node)) : "the lanes"}, ${seconds(s.t0)} to ${seconds(s.t1)}`;
    $("events").innerHTML = rows.map((e) => {
      const because = e[3] ? (byLine.has(e[3]) ? `<a href="#line-${e[3]}">line ${e[3]}</a> ${esc(name(byLine.get(e[3])[2]))}` : `line ${e[3]}`) : "";
      const who = e[2] < 0 ? "" : `<a href="#node-${encodeURIComponent(name(e[2]))}">${esc(name(e[2]))}</a>`;
      return `<tr id="line-${e[0]}"${e[0] === s.line ? ' class="chosen"' : ""}><td class="n" data-l="line"><a href="#line-${e[0]}">${e[0]}</a></td><td class="n" data-l="at">${seconds(e[1])}</td><td class="t">${who}</td><td class="free">${esc(d.texts[e[4]])}</td><td class="t" data-l="because of">${because}</td></tr>`;
    }).join("");
    const more = [];
    if (found.length > rows.length) more.push(`${rows.length} of ${found.length} events are listed; zoom in for the others, or <button type="button" id="all-events">list ${Math.min(found.length, 1000)}</button>`);
    if (!d.whole) more.push("The trace is long: this page holds its evidence, what led there, and of each node its first and last events but messages");
    if (s.node !== null) more.push('<a href="#timeline" id="all-nodes">events of all lanes</a>');
    $("events-more").innerHTML = more.join(". ");
    if ($("all-events")) $("all-events").onclick = () => { s.count = 1000; drawEvents(); };
    if ($("all-nodes")) $("all-nodes").onclick = () => { s.node = s.line = null; draw(); };
  }

  // --- what a reader does

  function draw() { drawLanes(); drawDensity(); drawCurves(); drawEvents(); }
  function zoom(a, b) {
    const size = Math.min(Math.max(b - a, SMALLEST), span), start = Math.min(Math.max(a, d.start), d.end - size);
    s.t0 = start; s.t1 = start + size; s.count = MAX_EVENTS;
    draw();
  }
  const scaleBy = (k) => { const e = s.line !== null && byLine.get(s.line), m = e && inside(e[1]) ? e[1] : (s.t0 + s.t1) / 2; zoom(m - (m - s.t0) * k, m + (s.t1 - m) * k); };
  const shift = (k) => zoom(s.t0 + k * (s.t1 - s.t0), s.t1 + k * (s.t1 - s.t0));
  function filter(text) { $("filter").value = s.filter = text; s.node = null; draw(); }
  $("in").onclick = () => scaleBy(0.4);
  $("out").onclick = () => scaleBy(2.5);
  $("earlier").onclick = () => shift(-0.5);
  $("later").onclick = () => shift(0.5);
  $("whole").onclick = () => zoom(d.start, d.end);
  $("controls").onsubmit = (event) => event.preventDefault();
  $("filter").oninput = () => { s.filter = $("filter").value; s.node = null; s.line = null; draw(); };
  let from = null;
  const place = (event) => { const r = $("lanes").getBoundingClientRect(); return Math.min(Math.max(event.clientX - r.left, current.left), current.right); };
  $("lanes").onpointerdown = (event) => { if (event.button === 0 && event.pointerType === "mouse" && !event.target.closest("a")) { from = place(event); event.preventDefault(); } };
  window.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = place(event), mark = $("drag");
    mark.setAttribute("x", Math.min(from, to)); mark.setAttribute("width", Math.abs(to - from));
  });
  window.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const a = current.time(from), b = current.time(place(event)), moved = Math.abs(place(event) - from) > 5;
    from = null;
    if (moved) zoom(Math.min(a, b), Math.max(a, b)); else drawLanes();
  });
  $("lanes").ondblclick = () => zoom(d.start, d.end);
  function go() {
    const hash = decodeURIComponent(location.hash.slice(1));
    if (hash.startsWith("line-") && byLine.has(Number(hash.slice(5)))) {
      const e = byLine.get(Number(hash.slice(5)));
      s.line = e[0]; s.node = e[2]; s.filter = $("filter").value = ""; s.count = MAX_EVENTS;
      if (!inside(e[1])) { const half = (s.t1 - s.t0) / 2; s.t0 = Math.max(d.start, e[1] - half); s.t1 = Math.min(d.end, e[1] + half); }
      draw();
      $(`line-${e[0]}`)?.scrollIntoView({ block: "center" });
    } else if (hash.startsWith("node-") && order.has(hash.slice(5))) {
      s.node = order.get(hash.slice(5)); s.line = null; s.count = MAX_EVENTS;
      draw();
      $("events-title").scrollIntoView({ block: "nearest" });
    }
  }
  window.addEventListener("hashchange", go);
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; draw(); } });
  draw();
  go();
})();
