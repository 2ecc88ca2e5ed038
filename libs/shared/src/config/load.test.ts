import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { bool, kebab, list, loadConfig, pairs, setting, type Settings } from './load';
import { busOptions, busSettings, defaultStateDir } from './settings';

const settings = {
  stateDir: setting('T_STATE_DIR', z.string().default('/default'), 'folder'),
  port: setting('T_PORT', z.coerce.number().int().min(1).default(4222), 'port'),
  labels: setting('T_LABELS', pairs.default({}), 'labels'),
  drivers: setting('T_DRIVERS', list.default([]), 'drivers'),
  sandbox: setting('T_SANDBOX', bool.default(true), 'sandbox'),
};

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-config-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const load = (env: NodeJS.ProcessEnv = {}, argv: string[] = []) => loadConfig(settings, { env, argv });
const file = (content: string): string => {
  const path = join(folder, 'config.json');
  writeFileSync(path, content);
  return path;
};

describe('a setting', () => {
  test('comes from the flag before the environment, the file and the default', () => {
    const VIRTBUS_CONFIG = file('{"stateDir": "/file"}');
    expect(load().stateDir).toBe('/default');
    expect(load({ VIRTBUS_CONFIG }).stateDir).toBe('/file');
    expect(load({ VIRTBUS_CONFIG, T_STATE_DIR: '/env' }).stateDir).toBe('/env');
    expect(load({ VIRTBUS_CONFIG, T_STATE_DIR: '/env' }, ['--state-dir', '/flag']).stateDir).toBe('/flag');
    expect(load({}, ['--state-dir=/a=b']).stateDir).toBe('/a=b');
  });

  test('whose variable is empty was not given', () => {
    expect(load({ T_STATE_DIR: '' }).stateDir).toBe('/default');
  });

  test('that is a list, pairs or yes and no has a text form in the environment and its own in the file', () => {
    const expected = { labels: { zone: 'a', note: 'x=y' }, drivers: ['qemu', 'lxc'], sandbox: false };
    expect(load({ T_LABELS: 'zone=a, note=x=y', T_DRIVERS: 'qemu, lxc,', T_SANDBOX: 'no' })).toMatchObject(expected);
    expect(load({ VIRTBUS_CONFIG: file(JSON.stringify(expected)) })).toMatchObject(expected);
  });

  test('is a flag in kebab case', () => {
    expect(kebab('natsInboxPrefix')).toBe('nats-inbox-prefix');
  });
});

describe('a mistake in the configuration', () => {
  test.each([
    ['the variable', { T_PORT: 'many' }, [], /T_PORT: .*number/],
    ['the flag', {}, ['--port', '0'], /--port: /],
    ['a pair without a value', { T_LABELS: 'zone' }, [], /T_LABELS: must be key=value/],
    ['an unknown flag, and those known', {}, ['--prot', '1'], /unknown option '--prot'; known: --state-dir --port/],
    ['a stray word', {}, ['start'], /unknown option 'start'/],
    ['a flag without its value', {}, ['--port'], /--port needs a value/],
  ])('names %s', (_what, env, argv, text) => {
    expect(() => load(env, argv)).toThrow(text);
  });

  test('in the file names file and key, and all of them at once', () => {
    const path = file('{"port": "x", "sandbox": "perhaps", "statedir": "/x", "constructor": 1}');
    const text = (() => {
      try {
        return JSON.stringify(load({ VIRTBUS_CONFIG: path }));
      } catch (error) {
        return (error as Error).message;
      }
    })();
    for (const part of [
      `${path}: port: `,
      `${path}: sandbox: `,
      `unknown key 'statedir'`,
      `unknown key 'constructor'`,
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain('\n');
  });

  test.each([
    ['{"port": 1', /cannot read .*config\.json: /],
    ['[1]', /not an object/],
    ['null', /not an object/],
  ])('like a file of %s is told with its path', (content, text) => {
    expect(() => load({ VIRTBUS_CONFIG: file(content) })).toThrow(text);
  });

  test('like a file that is not there is told with its path', () => {
    expect(() => load({ VIRTBUS_CONFIG: join(folder, 'nowhere.json') })).toThrow(/nowhere\.json: .*ENOENT/);
  });

  test('never shows the value: it may be a secret', () => {
    const secret = { natsPassword: setting('T_PASSWORD', z.string().min(20), 'password') } satisfies Settings;
    expect(() => loadConfig(secret, { env: { T_PASSWORD: 'hunter2' }, argv: [] })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter2') as string }) as Error,
    );
  });
});

test('the bus settings become the options of a connection', () => {
  const values = loadConfig(busSettings, { env: { VIRTBUS_NATS_URL: 'nats://n:1', VIRTBUS_CONTEXT: '/c' }, argv: [] });
  expect(busOptions(values, 'driver', 'h1')).toMatchObject({
    name: 'driver',
    owner: 'h1',
    url: 'nats://n:1',
    context: '/c',
  });
});

test("state lies in the user's own place when the user is not root", () => {
  const own = defaultStateDir({ XDG_STATE_HOME: '/home/ann/state' });
  expect(own).toBe(process.getuid?.() === 0 ? '/var/lib/virtbus' : '/home/ann/state/virtbus');
});
