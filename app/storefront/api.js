// SPDX-License-Identifier: BSD-3-Clause
// The gateway's API, with repeats: the same key until there is a final answer.

export class Problem extends Error {
    constructor(status, body, retryMs) {
        super(body.title || `HTTP ${status}`);
        Object.assign(this, {status, code: body.code || '', body, retryMs});
    }
}

// Server time minus ours, from the Date header: countdowns do not depend on the shopper's clock.
export let clockMs = 0;
export const now = () => Date.now() + clockMs;

let onLine = () => {};
export const whenLineChanges = (f) => { onLine = f; };

const pause = (ms, signal) => new Promise((done, failed) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', () => { clearTimeout(timer); failed(signal.reason); }, {once: true});
});

async function once(method, path, {body, key, signal} = {}) {
    const headers = {};
    if (body) headers['Content-Type'] = 'application/json';
    if (key) headers['Idempotency-Key'] = key;
    const answer = await fetch(path, {method, headers, signal, body: body && JSON.stringify(body), credentials: 'same-origin'});
    const date = Date.parse(answer.headers.get('Date'));
    if (date && Math.abs(date + 500 - now()) > 1500) clockMs = date + 500 - Date.now();
    const json = (answer.headers.get('Content-Type') || '').includes('json') ? await answer.json() : {};
    if (answer.ok) return json;
    const hint = json.retry_ms || 1000 * answer.headers.get('Retry-After');
    throw new Problem(answer.status, json, hint);
}

// Problems after which the same request is sent again: nothing was decided, or the outcome is unknown.
const again = (p) => p.status === 429 || p.status === 503 || p.status === 504 || p.status === 502 || p.status === 425;

/** Sends until there is an answer that decides. onWait(problem) hears of each wait. */
export async function send(method, path, options = {}) {
    for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
        let ms = wait * (0.75 + Math.random() / 2);
        try {
            const answer = await once(method, path, options);
            onLine(true);
            return answer;
        } catch (error) {
            if (error.name === 'AbortError') throw error;
            if (error instanceof Problem) {
                onLine(true);
                if (!again(error)) throw error;
                ms = error.retryMs || ms;
                options.onWait?.(error);
            } else {
                onLine(false);
            }
        }
        await pause(ms, options.signal);
    }
}

export const login = (user) => send('POST', 'v1/login', {body: {user}});
export const items = (signal) => send('GET', 'v1/items', {signal});
export const item = (n, signal) => send('GET', `v1/items/${n}`, {signal});
export const reserve = (n, key, wait, onWait) => send('POST', 'v1/orders', {body: {item: n, quantity: 1, ...(wait && {wait})}, key, onWait});
export const order = (key, signal, wait = 0) => send('GET', `v1/orders/${key}?wait=${wait}`, {signal});
export const cancel = (key) => send('DELETE', `v1/orders/${key}`);
export const pay = (key, item_, outcome) => send('POST', 'pay', {body: {order: key, item: item_, outcome}});
