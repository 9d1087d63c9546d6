#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The Redis sink over TLS: a real server with certificates made here; right, wrong, missing and
renewed ones."""

import os
import socket
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgsinkcases  # noqa: E402
import fgtest  # noqa: E402
from fgsink import Log  # noqa: E402
from fgsinkcases import end  # noqa: E402
from fgtls import SecureRedis  # noqa: E402

fgsinkcases.use(globals(), SecureRedis, 'right_certificates', 'wrong_certificates')


@fgtest.timeout(90)
def test_silent_server(lab):
    """a server that takes the connection and never shakes hands: away within the timeout"""
    s, log = SecureRedis(lab), Log(lab)
    log.load()
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(16)
        s.follow(log, address=f'127.0.0.1:{listener.getsockname()[1]}', tls=(s.authority.cert, '-', '-', '-'), timeout=300)
        assert 'no answer within 300 ms' in log.in_state('away', seconds=5)['error']
        began = time.monotonic()
        log.stop(drain=200)
        fgtest.soon(began, 2, 'it stops')


@fgtest.timeout(90)
def test_killed_and_renewed(lab):
    """kill -9 in the midst of a load, and certificates of another authority afterwards: read anew, nothing doubled"""
    s, log = SecureRedis(lab), Log(lab)
    trusted = os.path.join(s.folder, 'trusted.pem')
    os.link(s.authority.cert, trusted)
    s.follow(log, tls=(trusted, '-', '-', '-'), batch=50)
    for _ in range(4):
        log.load(20)
        s.redis.kill()
        log.load(5)
        s.redis.start()
    log.caught_up()
    s.redis.stop()
    s.renew(*s.other.make('renewed', 'IP:127.0.0.1'))
    s.redis.start()
    log.in_state('away', text='certificate')
    os.unlink(trusted)
    os.link(s.other.cert, trusted)
    log.load()
    end(s, log)


if __name__ == '__main__':
    fgtest.main()
