# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a headless Chromium in a namespace, by its DevTools protocol over a pair of pipes."""

import base64
import hashlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tarfile
import tempfile
import time

import fgtest

AXE = 'axe-core', '4.14.1'
AXE_SHA512 = 'FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=='
KEYS = {'Tab': (9, ''), 'Enter': (13, '\r'), ' ': (32, ' ')}


def axe():
    """The text of axe-core, which judges how accessible a page is: by npm, once, into the build folder."""
    if not shutil.which('npm'):
        raise fgtest.Skip('npm is not installed: axe-core cannot be had')
    folder = os.path.join(fgtest.BUILD, 'npm')
    packed = os.path.join(folder, f'{AXE[0]}-{AXE[1]}.tgz')
    if not os.path.exists(packed):
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as new:  # another test may read or bring it
            done = subprocess.run(['npm', 'pack', '--silent', '@'.join(AXE)], cwd=new, capture_output=True, text=True, timeout=120)
            if done.returncode:
                raise fgtest.Skip(f'npm brings no {"@".join(AXE)}: {done.stderr[-300:]}')
            os.replace(os.path.join(new, os.path.basename(packed)), packed)
    with open(packed, 'rb') as f:
        found = base64.b64encode(hashlib.sha512(f.read()).digest()).decode()
    assert found == AXE_SHA512, f'{packed} is not what this test was written for: {found}'
    with tarfile.open(packed) as tar:
        return tar.extractfile('package/axe.min.js').read().decode()


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

    def key(self, name):
        """Presses a key of KEYS."""
        code, text = KEYS[name]
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=name, code='Space' if name == ' ' else name, windowsVirtualKeyCode=code,
                      **({'text': text} if text and kind == 'keyDown' else {}))

    def barriers(self, source):
        """What axe-core (its source) finds on the page as it is: [[harm, rule, where, why], ...]."""
        self.evaluate(f'if (!window.axe) {{ {source} }}')
        return self.evaluate('axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v => '
                             'v.nodes.map(n => [v.impact, v.id, n.target.join(" "), n.failureSummary])))')

    def complaints(self):
        """Exceptions, errors of the console, refusals of the content security policy."""
        self.evaluate('1')
        found = [e['params'] for e in self.events if e.get('method') == 'Runtime.exceptionThrown']
        logged = [e['params']['entry'] for e in self.events if e.get('method') == 'Log.entryAdded']
        return found + [e for e in logged if e['level'] == 'error' and e['source'] != 'network']
