#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The PostgreSQL sink and fgaudit over TLS, as the connection string asks for it: a real server,
certificates made here."""

import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgsinkcases  # noqa: E402
import fgtest  # noqa: E402
from fgtls import SecurePostgres  # noqa: E402

fgsinkcases.use(globals(), SecurePostgres, 'right_certificates', 'wrong_certificates')


if __name__ == '__main__':
    fgtest.main()
