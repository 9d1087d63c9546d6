#!/usr/bin/env node
// SPDX-License-Identifier: BSD-3-Clause
// A shop that sells through the gateway (docs/integrate.md), in one file and without packages (Node 18 or newer).
//
// usage: shop.mjs SHOP BACKEND USER ITEM SHORT_ITEM    SHOP, BACKEND: http(s)://HOST[:PORT] of shoppers' and backend's routes
//
// Plays a shopper's and the backend's part of four orders, and prints what became of them as JSON.
import {randomUUID} from 'node:crypto';

const REPEAT = new Set([425, 429, 502, 503, 504]); // nothing was decided, or the outcome is unknown
const PATIENCE_MS = 60000;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// [status, JSON] of the first answer that decides. Repeats the same request, under the same key, until then.
async function ask(method, url, body, headers = {}) {
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const ends = Date.now() + PATIENCE_MS;
    for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
        let hint = 0;
        try {
            const answer = await fetch(url, {method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(70000)});
            const json = (answer.headers.get('Content-Type') || '').includes('json') ? await answer.json() : {};
            if (!REPEAT.has(answer.status)) return [answer.status, {...json, cookie: answer.headers.get('Set-Cookie') || ''}];
            hint = json.retry_ms || 1000 * answer.headers.get('Retry-After');
        } catch (error) {
            // no connection, or it broke: the request may have been carried out
        }
        if (Date.now() > ends) throw new Error(`${method} ${url}: no answer; repeat it later, with the same key`);
        await sleep(hint || wait * (0.75 + Math.random() / 2));
    }
}

// What a shopper's page asks. The cookie says who it is.
class Shop {
    static async enter(url, user) {
        const shop = new Shop();
        shop.url = url;
        const [, answer] = await ask('POST', `${url}/v1/login`, {user}); // your login in its place
        shop.cookie = answer.cookie.split(';')[0];
        return shop;
    }
    stock = async (item) => (await ask('GET', `${this.url}/v1/items/${item}`))[1];
    reserve = (item, quantity, key) => ask('POST', `${this.url}/v1/orders`, {item: String(item), quantity},
        {'Idempotency-Key': key, Cookie: this.cookie});
    order = async (key, wait = 0) => (await ask('GET', `${this.url}/v1/orders/${key}?wait=${wait}`, undefined, {Cookie: this.cookie}))[1];
    orders = async () => (await ask('GET', `${this.url}/v1/orders`, undefined, {Cookie: this.cookie}))[1].orders;
}

// What the order backend asks. It names the user as floodgate_user does.
class Backend {
    constructor(url, giveBack) { Object.assign(this, {url, giveBack}); }
    ask = (operation, user, key, fields = {}) => ask('POST', `${this.url}/v1/backend/orders/${key}/${operation}`, {user, ...fields});

    // The provider took the money. True: the units are sold; ship them. False: the money went back.
    async paid(user, key) {
        const [status, answer] = await this.ask('confirm', user, key);
        if (status === 200) return true;
        // Too late, and others have the units. Close the order first: until then a copy of the confirmation could still buy.
        if (answer.code === 'EXPIRED' && (await this.ask('cancel', user, key))[1].code === 'SOLD') return true;
        this.giveBack(user, key);
        return false;
    }

    // The provider declined, or said nothing: the units go back on sale at once.
    notPaid = async (user, key) => (await this.ask('cancel', user, key))[0] === 200;

    async refund(user, key, restock) {
        const done = (await this.ask('refund', user, key, {restock}))[0] === 200;
        if (done) this.giveBack(user, key);
        return done;
    }
}

async function main(shopUrl, backendUrl, user, item, shortItem) {
    const shop = await Shop.enter(shopUrl, user), givenBack = [];
    const backend = new Backend(backendUrl, (_, key) => givenBack.push(key));
    const told = {left: (await shop.stock(item)).left};

    const key = randomUUID(); // made once, when the shopper presses the button, and kept until the answer
    const [status, order] = await shop.reserve(item, 1, key);
    told.reserved = [status, order.state, (await shop.reserve(item, 1, key))[1].deadline === order.deadline];
    told.paid = [await backend.paid(user, key), (await shop.order(key)).state];

    const key2 = randomUUID();
    await shop.reserve(item, 1, key2);
    told.declined = [await backend.notPaid(user, key2), (await shop.order(key2)).state];

    const key3 = randomUUID();
    await shop.reserve(shortItem, 1, key3);
    while ((await shop.order(key3, 25)).state === 'RESERVED'); // the hold ends; then the money comes
    told.late = [await backend.paid(user, key3), (await shop.order(key3)).late];

    const key4 = randomUUID(), key5 = randomUUID();
    await shop.reserve(shortItem, 1, key4);
    while ((await shop.order(key4, 25)).state === 'RESERVED');
    while ((await shop.reserve(shortItem, 1, key5))[1].code === 'SOLD_OUT') await sleep(200); // key5 takes the last unit meanwhile
    await backend.paid(user, key5);
    told['too late'] = [await backend.paid(user, key4), (await shop.order(key4)).state, givenBack.join() === key4];

    const [refused, problem] = await shop.reserve(item, 10, randomUUID());
    told.refused = [refused, problem.code, problem.left];
    told.unknown = (await shop.reserve(99, 1, randomUUID()))[1].code;
    told.refunded = [await backend.refund(user, key, true), (await shop.order(key)).state];
    told.orders = (await shop.orders()).map((one) => one.state).sort();
    console.log(JSON.stringify(told));
}

if (process.argv.length !== 7) {
    console.error('usage: shop.mjs SHOP BACKEND USER ITEM SHORT_ITEM');
    process.exit(2);
}
await main(...process.argv.slice(2));
