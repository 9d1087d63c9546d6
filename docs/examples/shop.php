#!/usr/bin/env php
<?php
// SPDX-License-Identifier: BSD-3-Clause
// A shop that sells through the gateway (docs/integrate.md), in one file and without packages (PHP 8).
//
// usage: shop.php SHOP BACKEND USER ITEM SHORT_ITEM    SHOP, BACKEND: http(s)://HOST[:PORT] of shoppers' and backend's routes
//
// Plays a shopper's and the backend's part of four orders, and prints what became of them as JSON.
declare(strict_types=1);

const REPEAT = [425, 429, 502, 503, 504]; // nothing was decided, or the outcome is unknown
const PATIENCE_S = 60;

function uuid(): string
{
    $bytes = random_bytes(16);
    $bytes[6] = chr(ord($bytes[6]) & 0x0f | 0x40);
    $bytes[8] = chr(ord($bytes[8]) & 0x3f | 0x80);
    return vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($bytes), 4));
}

/** The value of a header in lines like "Name: value". */
function header_of(array $lines, string $name): string
{
    foreach ($lines as $line) {
        if (stripos($line, "$name:") === 0) {
            return trim(substr($line, strlen($name) + 1));
        }
    }
    return '';
}

/** [status, JSON] of the first answer that decides. Repeats the same request, under the same key, until then. */
function ask(string $method, string $url, ?array $body = null, array $headers = []): array
{
    if ($body !== null) {
        $headers[] = 'Content-Type: application/json';
    }
    $options = ['method' => $method, 'header' => $headers, 'ignore_errors' => true, 'timeout' => 70, 'protocol_version' => 1.1];
    $options['header'][] = 'Connection: close';
    if ($body !== null) {
        $options['content'] = json_encode($body);
    }
    $ends = microtime(true) + PATIENCE_S;
    for ($wait = 0.5; ; $wait = min($wait * 2, 8)) {
        $hint = 0;
        $http_response_header = [];
        $text = @file_get_contents($url, false, stream_context_create(['http' => $options]));
        $lines = $http_response_header;
        // Without a whole answer: no connection, or it broke. The request may have been carried out.
        if ($text !== false && $lines && strlen($text) >= (int) header_of($lines, 'Content-Length')) {
            $status = (int) explode(' ', $lines[0])[1];
            $json = json_decode($text, true) ?? [];
            if (!in_array($status, REPEAT)) {
                return [$status, $json + ['cookie' => header_of($lines, 'Set-Cookie')]];
            }
            $hint = ($json['retry_ms'] ?? 0) / 1000 ?: (float) header_of($lines, 'Retry-After');
        }
        if (microtime(true) > $ends) {
            throw new RuntimeException("$method $url: no answer; repeat it later, with the same key");
        }
        usleep((int) (1e6 * ($hint ?: $wait * (0.75 + mt_rand() / mt_getrandmax() / 2))));
    }
}

/** What a shopper's page asks. The cookie says who it is. */
class Shop
{
    private string $cookie;

    public function __construct(private string $url, string $user)
    {
        [, $answer] = ask('POST', "$url/v1/login", ['user' => $user]); // your login in its place
        $this->cookie = 'Cookie: ' . explode(';', $answer['cookie'])[0];
    }

    public function stock(string $item): array
    {
        return ask('GET', "$this->url/v1/items/$item")[1];
    }

    public function reserve(string $item, int $quantity, string $key): array
    {
        return ask('POST', "$this->url/v1/orders", ['item' => $item, 'quantity' => $quantity], ["Idempotency-Key: $key", $this->cookie]);
    }

    public function order(string $key, int $wait = 0): array
    {
        return ask('GET', "$this->url/v1/orders/$key?wait=$wait", null, [$this->cookie])[1];
    }

    public function orders(): array
    {
        return ask('GET', "$this->url/v1/orders", null, [$this->cookie])[1]['orders'];
    }
}

/** What the order backend asks. It names the user as floodgate_user does. */
class Backend
{
    public array $given_back = [];

    public function __construct(private string $url)
    {
    }

    private function ask(string $operation, string $user, string $key, array $fields = []): array
    {
        return ask('POST', "$this->url/v1/backend/orders/$key/$operation", ['user' => $user] + $fields);
    }

    private function give_back(string $user, string $key): void
    {
        $this->given_back[] = $key; // your payment provider in its place
    }

    /** The provider took the money. True: the units are sold; ship them. False: the money went back. */
    public function paid(string $user, string $key): bool
    {
        [$status, $answer] = $this->ask('confirm', $user, $key);
        if ($status === 200) {
            return true;
        }
        // Too late, and others have the units. Close the order first: until then a copy of the confirmation could still buy.
        if (($answer['code'] ?? '') === 'EXPIRED' && ($this->ask('cancel', $user, $key)[1]['code'] ?? '') === 'SOLD') {
            return true;
        }
        $this->give_back($user, $key);
        return false;
    }

    /** The provider declined, or said nothing: the units go back on sale at once. */
    public function not_paid(string $user, string $key): bool
    {
        return $this->ask('cancel', $user, $key)[0] === 200;
    }

    public function refund(string $user, string $key, bool $restock): bool
    {
        $done = $this->ask('refund', $user, $key, ['restock' => $restock])[0] === 200;
        if ($done) {
            $this->give_back($user, $key);
        }
        return $done;
    }
}

function main(string $shop_url, string $backend_url, string $user, string $item, string $short_item): void
{
    $shop = new Shop($shop_url, $user);
    $backend = new Backend($backend_url);
    $told = ['left' => $shop->stock($item)['left']];

    $key = uuid(); // made once, when the shopper presses the button, and kept until the answer
    [$status, $order] = $shop->reserve($item, 1, $key);
    $told['reserved'] = [$status, $order['state'], $shop->reserve($item, 1, $key)[1]['deadline'] === $order['deadline']];
    $told['paid'] = [$backend->paid($user, $key), $shop->order($key)['state']];

    $key2 = uuid();
    $shop->reserve($item, 1, $key2);
    $told['declined'] = [$backend->not_paid($user, $key2), $shop->order($key2)['state']];

    $key3 = uuid();
    $shop->reserve($short_item, 1, $key3);
    while ($shop->order($key3, 25)['state'] === 'RESERVED') {
        // the hold ends; then the money comes
    }
    $told['late'] = [$backend->paid($user, $key3), $shop->order($key3)['late'] ?? null];

    [$key4, $key5] = [uuid(), uuid()];
    $shop->reserve($short_item, 1, $key4);
    while ($shop->order($key4, 25)['state'] === 'RESERVED') {
    }
    while (($shop->reserve($short_item, 1, $key5)[1]['code'] ?? '') === 'SOLD_OUT') {
        usleep(200000); // $key5 takes the last unit meanwhile
    }
    $backend->paid($user, $key5);
    $told['too late'] = [$backend->paid($user, $key4), $shop->order($key4)['state'], $backend->given_back === [$key4]];

    [$refused, $problem] = $shop->reserve($item, 10, uuid());
    $told['refused'] = [$refused, $problem['code'], $problem['left']];
    $told['unknown'] = $shop->reserve('99', 1, uuid())[1]['code'];
    $told['refunded'] = [$backend->refund($user, $key, true), $shop->order($key)['state']];
    $told['orders'] = array_column($shop->orders(), 'state');
    sort($told['orders']);
    echo json_encode($told), "\n";
}

if ($argc !== 6) {
    fwrite(STDERR, "usage: shop.php SHOP BACKEND USER ITEM SHORT_ITEM\n");
    exit(2);
}
main(...array_slice($argv, 1));
