// SPDX-License-Identifier: BSD-3-Clause
// The shop: a list, one product, one order. Each view is built anew from its state.
import * as api from './api.js';
import english from './strings.en.js';
import german from './strings.de.js';

const languages = {en: english, de: german};
let language = localStorage.getItem('language') || (navigator.language.startsWith('de') ? 'de' : 'en');
const main = document.getElementById('main');
let catalogue = {products: []}, view = new AbortController();

const say = (name, values = {}) => languages[language][name].replace(/\{(\w+)\}/g, (_, v) => values[v]);
const price = (p) => new Intl.NumberFormat(language, {style: 'currency', currency: catalogue.currency}).format(p.price);
const tell = (text) => { document.getElementById('said').textContent = text; };

function element(kind, {text, on, ...rest} = {}, ...children) {
    const e = Object.assign(document.createElement(kind), rest);
    if (text !== undefined) e.textContent = text;
    for (const [event, f] of Object.entries(on || {})) e.addEventListener(event, f);
    e.append(...children);
    return e;
}

const toList = () => element('p', {}, element('a', {href: '#/', text: say('back')}));

function duration(ms) {
    const s = Math.max(0, Math.ceil(ms / 1000)), two = (n) => String(n).padStart(2, '0');
    return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

// One key from the click to the final answer, kept over reload and back button.
const saved = {
    get: (item) => JSON.parse(sessionStorage.getItem(`order ${item}`)),
    set: (item, value) => sessionStorage.setItem(`order ${item}`, JSON.stringify(value)),
    drop: (item) => sessionStorage.removeItem(`order ${item}`),
};

// An offer from the waiting list is heard, and seen outside this page, as far as the browser allows.
const bell = {
    audio: null,
    wake() { this.audio ||= window.AudioContext && new AudioContext(); this.audio?.resume(); }, // browsers want a click first
    mayAsk: () => window.Notification?.permission === 'default',
    ring(title, body) {
        if (window.Notification?.permission === 'granted') new Notification(title, {body, tag: 'floodgate'});
        const t = this.audio?.currentTime;
        for (const [at, pitch] of t === undefined ? [] : [[0, 660], [0.2, 880]]) {
            const tone = this.audio.createOscillator(), loud = this.audio.createGain();
            tone.frequency.value = pitch;
            loud.gain.setValueAtTime(0.2, t + at);
            loud.gain.exponentialRampToValueAtTime(0.001, t + at + 0.4);
            tone.connect(loud).connect(this.audio.destination);
            tone.start(t + at);
            tone.stop(t + at + 0.4);
        }
    },
};

const sleep = (ms, signal) => new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); done(); }, {once: true});
});

// ---- list ----

async function list(signal) {
    const rows = element('ul', {className: 'list'}), states = {};
    const field = element('input', {id: 'search', type: 'search', autocomplete: 'off'});
    let timer;

    const draw = () => {
        const words = field.value.trim().toLocaleLowerCase(language);
        const found = catalogue.products.filter((p) => p.name[language].toLocaleLowerCase(language).includes(words));
        rows.replaceChildren(...found.map((p) => element('li', {}, element('a', {href: `#/item/${p.item}`},
            element('span', {}, element('span', {className: 'name', text: p.name[language]}), ' ',
                element('span', {className: 'quiet', text: short(states[p.item])})),
            element('span', {className: 'price', text: price(p)})))));
        if (!found.length) rows.append(element('li', {className: 'quiet', text: say('empty')}));
    };
    field.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(draw, 150); });
    main.replaceChildren(element('h1', {text: say('back')}), element('label', {htmlFor: 'search', text: say('search')}), field, rows);
    draw();
    while (!signal.aborted) {
        for (const one of (await api.items(signal)).items) states[one.item] = one;
        draw();
        await sleep(2000, signal);
    }
}

const count = (n) => new Intl.NumberFormat(language).format(n);

function short(stock) {
    if (!stock) return '';
    return {ON_SALE: say('left', {left: count(stock.left)}), SOLD_OUT: say('soldOut'),
            PAUSED: say('paused'), CLOSED: say('closed'),
            NOT_OPEN: stock.opens ? say('opensIn', {time: duration(Date.parse(stock.opens) - api.now())}) : ''}[stock.state] || '';
}

// ---- one product ----

/** {figure, why, tone, buttons: [[text, action, main, off]]} of what is to be shown. */
function scene(p, s) {
    if (s.message) return {...s.message, tone: 'bad', buttons: [[say('retry'), () => s.restart(), false]]};
    if (s.order) return orderScene(p, s);
    if (s.busy) return {figure: say('buying'), why: s.waits ? say('waiting') : '', buttons: [[say('buying'), null, true, true]]};
    const stock = s.stock;
    if (!stock) return {figure: say('loading'), why: '', buttons: []};
    const buy = (off) => [[say('buy'), () => s.buy(), true, off]];
    if (stock.state === 'SOLD_OUT' && stock.serving)
        return {figure: say('soldOut'), why: say('lineWhy') + (stock.waiting ? ` ${say('lineLength', {waiting: count(stock.waiting)})}` : ''), tone: 'warn',
                buttons: [[say('join'), () => s.buy(true), true, false]]};
    if (stock.state === 'NOT_OPEN' && stock.draw)
        return {figure: short(stock), why: `${say('drawWhy')} ${say('lineLength', {waiting: count(stock.waiting)})}`,
                buttons: [[say('enter'), () => s.buy(true), true, false]]};
    return {
        ON_SALE: {figure: short(stock), why: say('leftHint'), buttons: buy(false)},
        SOLD_OUT: {figure: say('soldOut'), why: say('soldOutWhy'), tone: 'warn', buttons: buy(true)},
        NOT_OPEN: {figure: short(stock), why: say('opensWhy'), buttons: buy(true)},
        PAUSED: {figure: say('paused'), why: say('pausedWhy'), tone: 'warn', buttons: buy(true)},
        CLOSED: {figure: say('closed'), why: say('closedWhy'), tone: 'warn', buttons: []},
    }[stock.state];
}

// Orders ahead: as the last answer said, or fewer, as the line moves for all.
const ahead = (s) => Math.min(s.order.ahead, Math.max(0, s.order.ticket - (s.stock?.serving || 0)));

function placeScene(s) {
    const n = ahead(s), ms = s.order.expected_ms && s.order.expected_ms - (api.now() - s.heardMs), draw = s.order.draw;
    const why = `${ms > 0 ? `${say(draw ? 'drawTime' : 'placeTime', {time: duration(ms)})} ` : ''}${say('placeWhy')}`;
    return {figure: draw ? say('entered') : n ? say(n === 1 ? 'placeOne' : 'place', {ahead: count(n)}) : say('placeNext'), why, buttons: [
        ...(bell.mayAsk() ? [[say('notify'), async () => { await Notification.requestPermission(); s.update({}); }, false, s.busy]] : []),
        [s.busy === 'back' ? say('leaving') : say('leave'), () => s.giveBack(), false, s.busy]]};
}

function orderScene(p, s) {
    const left = Date.parse(s.order.deadline) - api.now();
    const next = [[say('again'), () => s.restart(), false]];
    return {
        RESERVED: {figure: say('held', {time: duration(left)}), why: say(s.waited ? 'offeredWhy' : 'heldWhy'), tone: 'good', buttons: [
            [s.busy === 'pay' ? say('paying') : say('pay', {price: price(p)}), () => s.pay('paid'), true, s.busy],
            [say('decline'), () => s.pay('declined'), false, s.busy],
            [s.busy === 'back' ? say('givingBack') : say('giveBack'), () => s.giveBack(), false, s.busy]]},
        SOLD: {figure: say('sold'), why: say('soldWhy', {order: s.order.order}), tone: 'good', buttons: next},
        CANCELLED: {
            skipped: {figure: say('skipped'), why: say('skippedWhy'), tone: 'warn', buttons: next},
            left: {figure: say('leftLine'), why: say('cancelledWhy'), buttons: next},
        }[s.line] || {figure: say('cancelled'), why: say('cancelledWhy'), buttons: next},
        EXPIRED: {figure: say('expired'), why: say('expiredWhy'), tone: 'warn', buttons: next},
        REFUNDED: {figure: say('refunded'), why: say('refundedWhy'), buttons: next},
        WAITING: s.order.state === 'WAITING' && placeScene(s),
    }[s.order.state];
}

function frame(p) {
    const figure = element('p', {className: 'figure', id: 'figure'}), why = element('p', {id: 'why'});
    const actions = element('div', {className: 'actions'});
    main.replaceChildren(element('h1', {text: p.name[language]}), element('p', {className: 'quiet', text: price(p)}),
        figure, why, actions, element('p', {text: p.text[language]}), toList());
    let shown = '', parked = false; // parked: the focus waits at main until a button is on
    return (s) => {
        const now = scene(p, s);
        figure.textContent = now.figure;
        figure.className = `figure ${now.tone || ''}`;
        why.textContent = now.why;
        const buttons = JSON.stringify(now.buttons.map(([text, , kind, off]) => [text, kind, !!off]));
        if (buttons === shown) return; // a button that is being pressed stays the same element
        const had = actions.contains(document.activeElement) || (parked && document.activeElement === main);
        shown = buttons;
        actions.replaceChildren(...now.buttons.map(([text, action, kind, off]) => element('button',
            {type: 'button', text, className: kind ? 'main' : '', disabled: !!off, on: {click: action || (() => {})}})));
        if (!had) return;
        const next = actions.querySelector('button:enabled');
        parked = !next;
        (next || main).focus();
    };
}

async function product(p, signal) {
    const draw = frame(p);
    const s = {stock: null, order: null, busy: '', waits: false, message: null,
               waited: false, line: '', heardMs: 0};
    const known = saved.get(p.item);

    const update = (change, heard) => {
        Object.assign(s, change);
        if (signal.aborted) return;
        draw(s);
        if (heard) tell(heard);
    };
    s.update = update;
    // What has become of the order: from the line it may have come to an offer, or have been skipped.
    const heard = (order) => {
        const ended = s.order?.state === 'WAITING' && order.state === 'CANCELLED';
        const line = !ended ? s.line : s.busy === 'back' ? 'left' : 'skipped';
        return {order, heardMs: api.now(), waited: s.waited || order.state === 'WAITING', line};
    };
    const settle = (order) => {
        saved.set(p.item, {key: order.order, user: true, wait: order.state === 'WAITING'});
        const change = heard(order);
        document.title = p.name[language];
        update({...change, busy: '', waits: false}, scene(p, {...s, ...change, busy: ''}).figure);
        follow(order.order);
    };
    const fail = (error) => {
        if (error.name === 'AbortError') return;
        const code = error.code;
        if (error.status === 401) { login(); return; }
        const key = saved.get(p.item)?.key;
        if (key && ['CANCELLED', 'EXPIRED', 'REFUNDED', 'SOLD'].includes(code)) { // the order has ended meanwhile
            settle({...s.order, order: key, state: code});
            return;
        }
        saved.drop(p.item);
        if (code === 'SOLD_OUT' || code === 'NOT_OPEN' || code === 'PAUSED' || code === 'CLOSED') {
            update({busy: '', stock: {...s.stock, state: code}}, say(code === 'SOLD_OUT' ? 'soldOut' : code === 'CLOSED' ? 'closed' : 'paused'));
            return;
        }
        const message = {USER_LIMIT: {figure: say('limit'), why: say('limitWhy')},
                         USER_DENIED: {figure: say('denied'), why: say('deniedWhy')}}[code] || {figure: say('failed'), why: error.message};
        update({busy: '', message}, message.figure);
    };
    const ask = async (key, wait) => {
        update({busy: 'buy'});
        try {
            settle(await api.reserve(p.item, key, wait, () => update({waits: true})));
        } catch (error) {
            fail(error);
        }
    };
    s.buy = (wait) => {
        if (s.busy) return;
        const key = saved.get(p.item)?.key || crypto.randomUUID();
        saved.set(p.item, {key, wait});
        bell.wake();
        ask(key, wait);
    };
    s.pay = async (outcome) => {
        if (s.busy) return;
        update({busy: 'pay'});
        try {
            settle(await api.pay(s.order.order, p.item, outcome));
        } catch (error) {
            fail(error);
        }
    };
    s.giveBack = async () => {
        if (s.busy) return;
        update({busy: 'back'});
        try {
            settle(await api.cancel(s.order.order));
        } catch (error) {
            fail(error);
        }
    };
    s.restart = () => { saved.drop(p.item); update({order: null, message: null, busy: '', waited: false, line: ''}); };

    async function follow(key) {
        while (!signal.aborted && s.order?.order === key && ['RESERVED', 'WAITING'].includes(s.order.state)) {
            const order = await api.order(key, signal, 25).catch(() => null);
            if (!order || s.busy || s.order?.order !== key) return;
            const change = heard(order);
            const offered = s.order.state === 'WAITING' && order.state === 'RESERVED';
            update(change, order.state !== s.order.state ? scene(p, {...s, ...change}).figure : '');
            if (!offered) continue;
            saved.set(p.item, {key: order.order, user: true});
            bell.ring(p.name[language], say('offeredWhy'));
            document.title = `★ ${p.name[language]}`;
        }
    }

    draw(s);
    if (known) ask(known.key, known.wait); // a reload: the same key finds its order
    const clock = setInterval(() => update({}), 250);
    signal.addEventListener('abort', () => clearInterval(clock), {once: true});
    while (!signal.aborted) {
        const stock = await api.item(p.item, signal);
        const reopened = s.stock?.state === 'SOLD_OUT' && stock.state === 'ON_SALE' && !s.order;
        update({stock}, reopened ? short(stock) : '');
        await sleep(stock.state === 'ON_SALE' ? 2000 : 1000, signal);
    }
}

// ---- login stub ----

function login() {
    const field = element('input', {id: 'name', autocomplete: 'username', required: true, maxLength: 60});
    const form = element('form', {on: {submit: async (event) => {
        event.preventDefault();
        await api.login(field.value);
        localStorage.setItem('name', field.value);
        show();
    }}}, element('label', {htmlFor: 'name', text: say('name')}), field,
        element('div', {className: 'actions'}, element('button', {className: 'main', text: say('login')})));
    view.abort();
    main.replaceChildren(element('h1', {text: say('shop')}), element('p', {text: say('loginWhy')}), form);
    field.focus();
}

// ---- where we are ----

function show() {
    view.abort();
    view = new AbortController();
    document.documentElement.lang = language;
    document.getElementById('language').textContent = say('language');
    for (const e of document.querySelectorAll('[data-text]')) e.textContent = say(e.dataset.text);
    const found = location.hash.match(/^#\/item\/(\d+)$/);
    const p = found && catalogue.products.find((one) => one.item === found[1]);
    document.title = p ? p.name[language] : say('shop');
    if (!localStorage.getItem('name')) return login();
    const run = found && !p ? Promise.resolve(main.replaceChildren(element('h1', {text: say('gone')}), toList())) : p ? product(p, view.signal) : list(view.signal);
    return run.catch((error) => {
        if (error.name !== 'AbortError') main.replaceChildren(element('h1', {text: say('failed')}), element('p', {text: error.message}));
    });
}

api.whenLineChanges((fine) => {
    const line = document.getElementById('line');
    line.hidden = fine;
    line.textContent = fine ? '' : say('offline');
});
document.getElementById('language').addEventListener('click', () => {
    language = language === 'de' ? 'en' : 'de';
    localStorage.setItem('language', language);
    show();
});
addEventListener('hashchange', show);
catalogue = await (await fetch('catalogue.json')).json();
show();
