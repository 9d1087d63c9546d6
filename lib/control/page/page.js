// SPDX-License-Identifier: BSD-3-Clause
// The page of the read-only listener. The appliance sends a view each second (/view): the fields of
// /v1/stats, the alarms, the items and the worst sources. Rates are differences of two views.
'use strict';

const KEPT = 120; // views: two minutes
const ROWS = 50; // items that are shown
const LATE_MS = 3500; // without a view: say so
const LOST_MS = 8000; // connect anew
const AGAIN_MS = 2000;

const $ = id => document.getElementById(id);
const views = []; // {at, stats, items: Map} of the last two minutes
let source, heard_ms = 0, tried_ms = 0, shown, order = [];

// ---- text --------------------------------------------------------------------------------------

const number = n => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, '\u202f');
const rate = n => (n >= 10 || n === 0 ? number(n) : n.toFixed(1)) + '/s';
const words = name => name.toLowerCase().replace(/_/g, ' ');
const some = (n, what) => number(n) + ' ' + what + (n === 1 ? '' : 's');

function bytes(n) {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let i = 0;
    for (; n >= 1024 && i < 4; i++) n /= 1024;
    return (i && n < 10 ? n.toFixed(1) : Math.round(n)) + ' ' + units[i];
}

function span(seconds) {
    const s = Math.max(0, Math.round(seconds)), two = n => String(n).padStart(2, '0');
    if (s >= 172800) return some(Math.floor(s / 86400), 'day');
    return (s >= 3600 ? Math.floor(s / 3600) + ':' + two(Math.floor(s / 60) % 60) : Math.floor(s / 60)) + ':' + two(s % 60);
}

const clock = ms => new Date(ms).toLocaleTimeString('en-GB');

// ---- elements ----------------------------------------------------------------------------------

function put(node, text) {
    if (node.textContent !== text) node.textContent = text;
}

function element(tag, attributes, ...inside) {
    const node = tag === 'svg' || tag === 'rect' || tag === 'polyline' || tag === 'path'
        ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...inside);
    return node;
}

// Text of the appliance: `command` becomes code, [words](page) the words.
function prose(text) {
    return text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').split('`').map(
        (part, i) => i % 2 ? element('code', {}, part) : part);
}

// A table whose cells are changed in place. Columns: [title, class]; rows: {key, cells}, where a
// cell is text, a node, or {text, stat}: what /v1/stats calls it.
function table(section, columns, rows, empty) {
    let body = section.querySelector('tbody');
    if (!rows.length !== !!section.querySelector('.empty') || (rows.length && !body)) {
        section.querySelectorAll('table, .empty').forEach(n => n.remove());
        if (!rows.length) {
            section.append(element('p', {class: 'quiet empty'}, ...prose(empty)));
            return;
        }
        body = element('tbody');
        section.append(element('table', {}, element('thead', {}, element('tr', {}, ...columns.map(
            ([title, kind]) => element('th', {scope: 'col', class: kind || ''}, title)))), body));
    }
    if (!body) return;
    rows.forEach((row, i) => {
        let line = body.children[i];
        if (!line || line.dataset.key !== row.key) {
            line = element('tr', {'data-key': row.key}, ...columns.map(([, kind]) => element('td', {class: kind || ''})));
            body.children[i] ? body.children[i].replaceWith(line) : body.append(line);
        }
        row.cells.forEach((cell, c) => {
            const td = line.children[c];
            if (cell instanceof Node) {
                td.replaceChildren(cell);
                return;
            }
            put(td, cell.text ?? cell);
            if (cell.stat) td.dataset.stat = cell.stat;
        });
    });
    while (body.children.length > rows.length) body.lastChild.remove();
}

const stat = (stats, path) => path.split('.').reduce((at, key) => at?.[key], stats) ?? 0;

// By the second, over about `seconds` until now. A restarted appliance counts anew: no rate.
function speed(read, seconds = 1) {
    const now = views[views.length - 1];
    const old = views.findLast(v => now.at - v.at >= seconds * 1000 - 200);
    if (!old) return 0;
    return Math.max(0, (read(now) - read(old)) * 1000 / (now.at - old.at));
}

const per_second = path => speed(v => stat(v.stats, path));

// ---- latency -----------------------------------------------------------------------------------

// What `share` of the values of a histogram stayed below in the last `seconds`; null: there was none.
function below(path, share, seconds) {
    const now = views[views.length - 1], old = views.find(v => now.at - v.at <= seconds * 1000 + 200);
    const before = stat(old.stats, path + '.buckets') || {}, after = stat(now.stats, path + '.buckets') || {};
    const grown = Object.entries(after).map(([bound, n]) => [bound === 'more' ? Infinity : +bound, n - (before[bound] || 0)])
        .sort((a, b) => a[0] - b[0]);
    const all = grown.reduce((sum, [, n]) => sum + n, 0);
    let seen = 0;
    for (const [bound, n] of grown)
        if (n && (seen += n) >= share * all) return bound;
    return null;
}

function time(ns) {
    if (ns === null) return '–';
    if (ns === Infinity) return 'over 17 s';
    const [n, unit] = ns < 1e6 ? [ns / 1e3, 'µs'] : ns < 1e9 ? [ns / 1e6, 'ms'] : [ns / 1e9, 's'];
    return (n < 10 ? n.toFixed(1) : number(n)) + ' ' + unit;
}

// ---- the answer --------------------------------------------------------------------------------

const SHAPES = {
    good: 'M5 0a5 5 0 1 0 .01 0z', warn: 'M5 0l5 10H0z', bad: 'M0 0h10v10H0z', quiet: 'M0 4h10v2H0z'
};

function of_items(items) {
    const count = state => items.filter(i => i.state === state).length;
    const held = items.reduce((sum, i) => sum + i.reserved, 0);
    if (!items.length)
        return ['quiet', 'No item yet', 'Create one: `fgctl item add 7 --total 100`'];
    if (count('open'))
        return ['good', 'The sale is running', `${count('open')} of ${some(items.length, 'item')} can be bought.`];
    if (count('scheduled')) {
        const opens = Math.min(...items.filter(i => i.state === 'scheduled').map(i => i.opens_ms));
        return ['good', 'The sale opens in ' + span((opens - shown.time_ms) / 1000), 'Nothing is sold before.'];
    }
    if (count('paused'))
        return ['warn', 'The sale is paused', 'Nothing is sold until `fgctl resume`.'];
    if (count('sold-out'))
        return held ? ['good', 'All is sold or held', `${some(held, 'unit')} held: what is not paid comes back on sale.`]
            : ['good', 'Sold out', 'Every unit is paid.'];
    return ['quiet', 'The sale is over', ''];
}

function verdict(v) {
    const state = v.stats.daemon.state, alarms = v.alarms.filter(a => a.level === 'alarm').length;
    if (state === 'stopping') return ['warn', 'The appliance is stopping', 'It sells nothing more.'];
    if (state === 'unhealthy') return ['bad', 'The sale is broken: act now', v.reason];
    const role = v.stats.pair?.role;
    if (role === 'standby' || role === 'joining')
        return [role === 'standby' && !v.alarms.length ? 'good' : 'warn',
            role === 'standby' ? 'This appliance stands by' : 'This appliance joins its pair', 'The other one of the pair sells.'];
    const first = v.alarms.length > 1 ? 'The worst comes first.' : '';
    if (alarms) return ['bad', `The sale runs, with ${some(alarms, 'alarm')}`, first];
    if (v.alarms.length) return ['warn', `The sale runs, with ${some(v.alarms.length, 'warning')}`, first];
    return of_items(v.items);
}

const EFFECTS = {
    none: 'The sale continues.', told: 'The sale continues.',
    degraded: 'The sale continues; what is behind the appliance waits.',
    unhealthy: 'Orders are not accepted, or cannot be relied on.'
};
const HARM = ['unhealthy', 'degraded', 'told', 'none'];

function show_answer(v) {
    const [kind, text, advice] = verdict(v), h1 = $('answer');
    if (h1.dataset.text !== text) {
        h1.dataset.text = text;
        h1.className = kind;
        h1.replaceChildren(element('svg', {viewBox: '0 0 10 10', 'aria-hidden': 'true'}, element('path', {d: SHAPES[kind]})), text);
        put($('said'), text.replace(/[\d:]+$/, '')); // a reader hears no countdown
        document.title = text + ' – Floodgate';
    }
    if ($('advice').dataset.text !== advice) {
        $('advice').dataset.text = advice;
        $('advice').replaceChildren(...prose(advice));
    }
    const alarms = v.alarms.slice().sort((a, b) => (a.level !== b.level ? (a.level === 'alarm' ? -1 : 1)
        : HARM.indexOf(a.effect) - HARM.indexOf(b.effect)));
    const key = JSON.stringify(alarms);
    if ($('alarms').dataset.key !== key) {
        $('alarms').dataset.key = key;
        $('alarms').replaceChildren(...alarms.map(a => element('li', {'data-alarm': a.name},
            element('b', {class: a.level === 'alarm' ? 'bad' : 'warn'}, `${a.level === 'alarm' ? 'Alarm' : 'Warning'} ${a.name}: ${a.text}`),
            EFFECTS[a.effect] + ' To do: ', ...prose(a.remedy), '.')));
    }
}

// ---- figures -----------------------------------------------------------------------------------

const total = (v, key) => v.items.reduce((sum, i) => sum + i[key], 0);
const REJECTED = ['sold_out', 'user_limit', 'not_on_sale', 'user_rate', 'user_denied', 'full'];
const rejected = v => REJECTED.reduce((sum, key) => sum + stat(v.stats, 'stock.' + key), 0);

// Of the orders between two views, ns.
function mean_wait(v, i) {
    const old = views[i - 1], grown = key => stat(v.stats, 'latency.durable.' + key) - stat(old.stats, 'latency.durable.' + key);
    return old && grown('count') > 0 ? grown('sum') / grown('count') : 0;
}

// id, title, large figure, line below it, series of the small line
const FIGURES = [
    ['left', 'Units left', v => number(total(v, 'available')), v => `of ${number(total(v, 'total'))}`, v => total(v, 'available')],
    ['held', 'Held, not paid', v => number(total(v, 'reserved')), () => '', v => total(v, 'reserved')],
    ['sold', 'Sold', v => number(total(v, 'sold')), () => rate(speed(v => total(v, 'sold'), 5)), v => total(v, 'sold')],
    ['accepted', 'Orders a second', () => number(per_second('stock.reserved')),
        v => `${number(stat(v.stats, 'stock.reserved'))} since the start`, null, v => stat(v.stats, 'stock.reserved')],
    ['rejected', 'Rejections a second', () => number(speed(rejected)),
        v => `${number(rejected(v))} since the start`, null, rejected],
    ['wait', 'Wait for the disk', () => time(below('latency.durable', 0.99, 10)), () => '99 of 100 orders wait less', mean_wait]
];

function line(points) {
    const most = Math.max(1, ...points), step = 100 / (KEPT - 1), skip = KEPT - points.length;
    return points.map((p, i) => `${((skip + i) * step).toFixed(2)},${(30 - 28 * p / most).toFixed(2)}`).join(' ');
}

function points_of(level, counter) {
    if (level) return views.map(level);
    return views.slice(1).map((v, i) => Math.max(0, (counter(v) - counter(views[i])) * 1000 / (v.at - views[i].at)));
}

function show_figures(v) {
    for (const [id, title, large, below, level, counter] of FIGURES) {
        let box = $('figure-' + id);
        if (!box) {
            box = element('div', {id: 'figure-' + id}, element('h2', {}, title), element('div', {class: 'figure'}),
                element('div', {class: 'rate'}), element('svg', {viewBox: '0 0 100 32', preserveAspectRatio: 'none', role: 'img',
                    'aria-label': title + ', the last two minutes'}, element('polyline')));
            $('figures').append(box);
        }
        put(box.children[1], large(v));
        put(box.children[2], below(v));
        box.querySelector('polyline').setAttribute('points', line(points_of(level, counter)));
    }
}

// ---- items -------------------------------------------------------------------------------------

function bar(item) {
    const all = Math.max(1, item.total), sold = 100 * item.sold / all, held = 100 * item.reserved / all;
    return element('svg', {class: 'bar', viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true'},
        element('rect', {width: 100, height: 4}), element('rect', {class: 'held', width: sold + held, height: 4}),
        element('rect', {class: 'sold', width: sold, height: 4}));
}

// In the order of their definition; of many, those that sell most, sorted anew now and then.
function chosen(items) {
    if (items.length <= ROWS) return items;
    if (!order.length || views.length % 10 === 0) {
        const sells = i => speed(x => x.by_item.get(i.item)?.sold ?? 0, 10);
        const fast = new Map(items.map(i => [i.item, sells(i)]));
        order = items.slice().sort((a, b) => fast.get(b.item) - fast.get(a.item) || b.sold + b.reserved - a.sold - a.reserved)
            .slice(0, ROWS).map(i => i.item);
    }
    const by_item = views[views.length - 1].by_item;
    return order.map(item => by_item.get(item)).filter(Boolean);
}

function when(item, now_ms) {
    if (item.state === 'scheduled') return 'opens in ' + span((item.opens_ms - now_ms) / 1000);
    if (item.state === 'open' && item.closes_ms) return 'open, closes in ' + span((item.closes_ms - now_ms) / 1000);
    return item.state.replace('-', ' ');
}

function show_items(v) {
    const rows = chosen(v.items).map(i => ({
        key: i.item,
        cells: [element('div', {}, element('div', {}, i.name || 'item ' + i.item),
            element('div', {class: 'small'}, `${i.item} · ${when(i, v.time_ms)}`), bar(i)),
        number(i.available), number(i.reserved), number(i.sold),
        rate(speed(x => x.by_item.get(i.item)?.sold ?? 0, 5)), number(i.refunded), number(i.total)]
    }));
    table($('items'), [['Item'], ['Left', 'n'], ['Held', 'n'], ['Sold', 'n'], ['Sold a second', 'n wide'], ['Refunded', 'n wide'],
        ['Total', 'n wide']], rows, 'Nothing is on sale. `fgctl item add` and `fgctl item import` create items.');
    let note = $('items').querySelector('.more');
    if (v.items_all <= rows.length) return note?.remove();
    if (!note) $('items').append(note = element('p', {class: 'small more'}));
    put(note, `${number(rows.length)} of ${some(v.items_all, 'item')}: those that sell most.` +
        (v.items_all > v.items.length ? ` The figures above are of the first ${number(v.items.length)}.` : ''));
}

// ---- the rest ----------------------------------------------------------------------------------

const ORDERS = [
    ['stock.reserved', 'accepted'], ['stock.sold', 'paid'], ['stock.sold_late', 'paid late'], ['stock.cancelled', 'cancelled'],
    ['stock.expired', 'expired'], ['stock.refunded', 'refunded'], ['stock.sold_out', 'rejected: sold out'],
    ['stock.user_limit', 'rejected: limit of the user'], ['stock.not_on_sale', 'rejected: not on sale'],
    ['stock.user_rate', 'rejected: user asks too often'], ['stock.user_denied', 'rejected: user denied'],
    ['stock.full', 'rejected: no memory'], ['stock.busy', 'asked to come again'], ['stock.duplicates', 'repeats']
];

const counted = (v, path) => ({text: number(stat(v.stats, path)), stat: path});

function show_orders(v) {
    const rows = ORDERS.filter(([path], i) => i < 2 || stat(v.stats, path)).map(([path, text]) => ({
        key: path, cells: [text, counted(v, path), rate(per_second(path))]
    }));
    table($('orders'), [['Decision'], ['Total', 'n'], ['Now', 'n']], rows, '');
}

const STEPS = [['latency.decide', 'until decided'], ['latency.durable', 'then until on disk'], ['latency.send', 'then until sent'],
    ['commits.took_ns', 'a commit of the log']];

function show_latency() {
    table($('latency'), [['Step'], ['Half within', 'n'], ['99 % within', 'n']], STEPS.map(([path, text]) => ({
        key: path, cells: [text, time(below(path, 0.5, 10)), time(below(path, 0.99, 10))]
    })), '');
}

// All that a worker dropped, and what the filter did not let through.
function show_drops(v) {
    const found = [];
    for (const key of Object.keys(v.stats.drops || {})) found.push(['drops.' + key, words(key), 'worker']);
    for (const key of Object.keys(v.stats.filter || {}))
        if (key !== 'order' && key !== 'pass') found.push(['filter.' + key, words(key), 'filter']);
    const rows = found.filter(([path]) => stat(v.stats, path)).sort((a, b) => stat(v.stats, b[0]) - stat(v.stats, a[0]))
        .map(([path, text, by]) => ({key: path, cells: [text, by, counted(v, path), rate(per_second(path))]}));
    table($('drops'), [['Reason'], ['By'], ['Packets', 'n'], ['Now', 'n']], rows, 'None: every packet got its answer.');
}

function show_sources(v) {
    const found = v.sources.flatMap(c => c.sources.map(s => ({...s, offence: c.class}))).sort((a, b) => b.count - a.count).slice(0, 8);
    table($('sources'), [['Source'], ['Offence'], ['Count', 'n'], ['Proven', 'n']], found.map(s => ({
        key: s.source + s.offence, cells: [s.source, words(s.offence), number(s.count), number(s.proven)]
    })), 'No source misbehaves.');
}

function show_sinks(v) {
    const rows = (v.stats.sinks || []).map((s, i) => ({
        key: s.sink, cells: [s.sink, s.error ? `${s.state}: ${s.error}` : s.state, counted(v, `sinks.${i}.lag`), time((s.lag_ms ?? 0) * 1e6)]
    }));
    table($('sinks'), [['Sink'], ['State'], ['Records behind', 'n'], ['Age', 'n']], rows, 'No sink: orders are in the log alone.');
}

function show_log(v) {
    const log = v.stats.log || {}, snapshot = log.snapshot || {};
    table($('log'), [['Of the log'], ['Value', 'n']], [
        ['state', log.error ? `${log.state}: ${log.error}` : log.state ?? ''], ['records', counted(v, 'log.records')],
        ['commits a second', number(per_second('log.commits'))], ['longest commit', number(log.commit_max_ms ?? 0) + ' ms'],
        ['size', bytes(log.segments_bytes ?? 0)],
        ['snapshot', snapshot.seq ? span(snapshot.age_s) + ' old' : 'none yet']
    ].map(cells => ({key: cells[0], cells})), '');
}

function show_workers(v) {
    const rows = (v.stats.workers || []).map((w, i) => ({
        key: String(w.worker), cells: [String(w.worker), rate(per_second(`workers.${i}.rx`)), counted(v, `workers.${i}.orders`),
            number(w.answers_deferred), number(100 * busy(i)) + ' %']
    }));
    table($('workers'), [['Worker'], ['Frames', 'n'], ['Order packets', 'n'], ['Wait for disk', 'n'], ['Busy loops', 'n']], rows, 'None.');
}

function busy(i) {
    const loops = per_second(`workers.${i}.loops`), idle = per_second(`workers.${i}.idle_loops`);
    return loops > 0 ? Math.max(0, 1 - idle / loops) : 0;
}

function show_ports(v) {
    const lost = p => p.rx_missed + p.rx_errors + p.rx_no_mbuf;
    const rows = (v.stats.ports || []).map((p, i) => ({
        key: p.port, cells: [p.port, p.state, rate(per_second(`ports.${i}.rx_packets`)), rate(per_second(`ports.${i}.tx_packets`)), number(lost(p))]
    }));
    table($('ports'), [['Port'], ['Link'], ['In', 'n'], ['Out', 'n'], ['Lost', 'n']], rows, 'None.');
}

// ---- life --------------------------------------------------------------------------------------

function show(v) {
    const last = views[views.length - 1];
    if (last && (v.time_ms <= last.at || v.stats.daemon.uptime_s < last.stats.daemon.uptime_s)) views.length = 0;
    shown = v;
    views.push({at: v.time_ms, stats: v.stats, items: v.items, by_item: new Map(v.items.map(i => [i.item, i]))});
    if (views.length > KEPT) views.shift();
    put($('clock'), `${clock(v.time_ms)} · up ${span(v.stats.daemon.uptime_s)} · ${v.stats.daemon.version}`);
    [show_answer, show_figures, show_items, show_orders, show_latency, show_drops, show_sources, show_sinks, show_log, show_workers, show_ports]
        .forEach(part => part(v));
    document.body.dataset.views = Number(document.body.dataset.views || 0) + 1;
}

function connect() {
    source?.close();
    tried_ms = performance.now();
    source = new EventSource('view');
    source.onmessage = message => {
        heard_ms = performance.now();
        show(JSON.parse(message.data));
        watch();
    };
}

function watch() {
    const now = performance.now(), silent = now - heard_ms, closed = source.readyState === EventSource.CLOSED;
    const late = heard_ms ? silent > LATE_MS || closed : now > LATE_MS;
    if ((closed || silent > LOST_MS) && now - tried_ms > (closed ? AGAIN_MS : LOST_MS)) connect();
    $('line').hidden = !late;
    document.querySelector('main').classList.toggle('quiet', late);
    if (late)
        put($('line'), heard_ms ? `No answer from the appliance since ${clock(shown.time_ms)}. The figures are of that moment. Trying again.`
            : 'No answer from the appliance. Trying again.');
    if (late && heard_ms) put($('clock'), `${number(silent / 1000)} s old`);
}

connect();
setInterval(watch, 1000);
