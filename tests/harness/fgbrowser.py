# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a headless Chromium in a namespace, by its DevTools protocol over a pair of pipes."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time

import fgtest


class Browser:
    """One page. evaluate() runs JavaScript in it; wait_for() polls until that is true."""

    def __init__(self, lab, ns, flags=()):
        self.program = shutil.which('chromium')
        if not self.program:
            raise fgtest.Skip('chromium is not installed')
        self.numbers, self.events, self.rest = itertools.count(1), [], b''
        profile = lab.unique('chromium')
        os.mkdir(profile)
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        # chromium reads commands at descriptor 3 and writes answers at 4
        argv = ['bash', '-c', f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', 'bash', *ns.enter(), 'unshare', '--fork',
                '--pid', '--kill-child', '--mount-proc', '--', self.program, '--headless=new', '--no-sandbox', '--disable-gpu',
                '--disable-dev-shm-usage', '--no-first-run', '--remote-debugging-pipe', f'--user-data-dir={profile}',
                '--disable-background-networking', '--disable-component-update', '--lang=en', *flags, 'about:blank']
        with open(os.path.join(profile, 'log'), 'wb') as log:
            self.popen = subprocess.Popen(argv, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=subprocess.STDOUT, env={**os.environ, 'HOME': profile})
        os.close(theirs_in)
        os.close(theirs_out)
        lab.servers.append(self)
        self.session = None
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(f'{domain}.enable')

    def close(self):
        self.popen.kill()
        self.popen.wait()
        os.close(self.out)
        os.close(self.into)

    def message(self, seconds):
        """The next message of the browser."""
        end = time.monotonic() + seconds
        while b'\0' not in self.rest:
            if not select.select([self.into], [], [], max(0, end - time.monotonic()))[0]:
                raise fgtest.Timeout(f'chromium said nothing for {seconds} s')
            part = os.read(self.into, 1 << 20)
            if not part:
                raise RuntimeError('chromium ended')
            self.rest += part
        one, self.rest = self.rest.split(b'\0', 1)
        return json.loads(one)

    def call(self, method, seconds=60, **params):
        number = next(self.numbers)
        command = {'id': number, 'method': method, 'params': params}
        if self.session:
            command['sessionId'] = self.session
        os.write(self.out, json.dumps(command).encode() + b'\0')
        while True:
            said = self.message(seconds)
            if said.get('id') == number:
                if 'error' in said:
                    raise RuntimeError(f'{method}: {said["error"]}')
                return said['result']
            self.events.append(said)

    def evaluate(self, expression):
        result = self.call('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in result:
            raise RuntimeError(f'{expression}: {result["exceptionDetails"]}')
        return result['result'].get('value')

    def open(self, url):
        self.call('Page.navigate', url=url)

    def wait_for(self, expression, seconds=30):
        return fgtest.wait_until(lambda: self.evaluate(f'!!({expression})'), seconds, expression, step=0.1)

    def offline(self, cut):
        self.call('Network.emulateNetworkConditions', offline=cut, latency=0, downloadThroughput=-1,
                  uploadThroughput=-1)

    def look(self, path, width, dark=False):
        """A screenshot."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setEmulatedMedia',
                  features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        shot = self.call('Page.captureScreenshot', format='png')
        with open(path, 'wb') as f:
            f.write(base64.b64decode(shot['data']))

    def complaints(self):
        """Exceptions, errors of the console, refusals of the content security policy."""
        self.evaluate('1')
        found = [e['params'] for e in self.events if e.get('method') == 'Runtime.exceptionThrown']
        logged = [e['params']['entry'] for e in self.events if e.get('method') == 'Log.entryAdded']
        return found + [e for e in logged if e['level'] == 'error' and e['source'] != 'network']
