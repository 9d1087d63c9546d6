#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A shop that sells through the gateway (docs/integrate.md), in one file and without packages.

usage: shop.py SHOP BACKEND USER ITEM SHORT_ITEM     SHOP, BACKEND: http(s)://HOST[:PORT] of shoppers' and backend's routes

Plays a shopper's and the backend's part of four orders, and prints what became of them as JSON.
"""

import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid

REPEAT = {425, 429, 502, 503, 504}  # nothing was decided, or the outcome is unknown
PATIENCE_S = 60


def ask(method, url, body=None, **headers):
    """(status, JSON) of the first answer that decides. Repeats the same request, under the same key, until then."""
    headers = {name.replace('_', '-'): value for name, value in headers.items()}
    if body is not None:
        headers['Content-Type'] = 'application/json'
    data = None if body is None else json.dumps(body).encode()
    ends, wait = time.monotonic() + PATIENCE_S, 0.5
    while True:
        hint = 0
        try:
            request = urllib.request.Request(url, data, headers, method=method)
            with urllib.request.urlopen(request, timeout=70) as answer:
                return answer.status, json.load(answer) | {'cookie': answer.headers.get('Set-Cookie', '')}
        except urllib.error.HTTPError as error:
            text = error.read()
            problem = json.loads(text) if 'json' in error.headers['Content-Type'] else {}
            if error.code not in REPEAT:
                return error.code, problem
            hint = problem.get('retry_ms', 0) / 1000 or float(error.headers.get('Retry-After') or 0)
        except OSError:  # no connection, or it broke: the request may have been carried out
            pass
        if time.monotonic() > ends:
            raise TimeoutError(f'{method} {url}: no answer; repeat it later, with the same key')
        time.sleep(hint or wait * random.uniform(0.75, 1.25))
        wait = min(wait * 2, 8)


class Shop:
    """What a shopper's page asks. `cookie` says who it is."""

    def __init__(self, url, user):
        self.url = url
        self.cookie = ask('POST', f'{url}/v1/login', {'user': user})[1]['cookie'].split(';')[0]  # your login in its place

    def stock(self, item):
        return ask('GET', f'{self.url}/v1/items/{item}')[1]

    def reserve(self, item, quantity, key):
        return ask('POST', f'{self.url}/v1/orders', {'item': str(item), 'quantity': quantity}, Idempotency_Key=key,
                   Cookie=self.cookie)

    def order(self, key, wait=0):
        return ask('GET', f'{self.url}/v1/orders/{key}?wait={wait}', Cookie=self.cookie)[1]

    def orders(self):
        return ask('GET', f'{self.url}/v1/orders', Cookie=self.cookie)[1]['orders']


class Backend:
    """What the order backend asks. It names the user as floodgate_user does."""

    def __init__(self, url, give_back):
        self.url, self.give_back = url, give_back

    def ask(self, operation, user, key, **fields):
        return ask('POST', f'{self.url}/v1/backend/orders/{key}/{operation}', {'user': user, **fields})

    def paid(self, user, key):
        """The provider took the money. True: the units are sold; ship them. False: the money went back."""
        status, answer = self.ask('confirm', user, key)
        if status == 200:
            return True
        # Too late, and others have the units. Close the order first: until then a copy of the confirmation could still buy.
        if answer.get('code') == 'EXPIRED' and self.ask('cancel', user, key)[1].get('code') == 'SOLD':
            return True
        self.give_back(user, key)
        return False

    def not_paid(self, user, key):
        """The provider declined, or said nothing: the units go back on sale at once."""
        return self.ask('cancel', user, key)[0] == 200

    def refund(self, user, key, restock):
        done = self.ask('refund', user, key, restock=restock)[0] == 200
        if done:
            self.give_back(user, key)
        return done


def main(shop_url, backend_url, user, item, short_item):
    shop, given_back = Shop(shop_url, user), []
    backend = Backend(backend_url, lambda user, key: given_back.append(key))
    told = {'left': shop.stock(item)['left']}

    key = str(uuid.uuid4())  # made once, when the shopper presses the button, and kept until the answer
    status, order = shop.reserve(item, 1, key)
    told['reserved'] = [status, order['state'], shop.reserve(item, 1, key)[1]['deadline'] == order['deadline']]
    told['paid'] = [backend.paid(user, key), shop.order(key)['state']]

    key2 = str(uuid.uuid4())
    shop.reserve(item, 1, key2)
    told['declined'] = [backend.not_paid(user, key2), shop.order(key2)['state']]

    key3 = str(uuid.uuid4())
    shop.reserve(short_item, 1, key3)
    while shop.order(key3, wait=25)['state'] == 'RESERVED':
        pass  # the hold ends; then the money comes
    told['late'] = [backend.paid(user, key3), shop.order(key3).get('late')]

    key4 = str(uuid.uuid4())
    shop.reserve(short_item, 1, key4)
    while shop.order(key4, wait=25)['state'] == 'RESERVED':
        pass
    key5 = str(uuid.uuid4())  # takes the last unit meanwhile
    while shop.reserve(short_item, 1, key5)[1].get('code') == 'SOLD_OUT':
        time.sleep(0.2)  # until the unit of the hold that ended is on sale again
    backend.paid(user, key5)
    told['too late'] = [backend.paid(user, key4), shop.order(key4)['state'], given_back == [key4]]

    status, problem = shop.reserve(item, 10, str(uuid.uuid4()))
    told['refused'] = [status, problem['code'], problem['left']]
    told['unknown'] = shop.reserve(99, 1, str(uuid.uuid4()))[1]['code']
    told['refunded'] = [backend.refund(user, key, True), shop.order(key)['state']]
    told['orders'] = sorted(order['state'] for order in shop.orders())
    print(json.dumps(told))


if __name__ == '__main__':
    if len(sys.argv) != 6:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
