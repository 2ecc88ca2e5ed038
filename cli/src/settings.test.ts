import { mkdirSync, writeFileSync } from 'node:fs';
import { temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';
import { connection } from './settings';

let folder: TemporaryFolder;
const env = (more: Record<string, string> = {}): NodeJS.ProcessEnv => ({ VIRTBUS_STATE_DIR: folder.path, ...more });

beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(folder.file('credentials'));
});
afterEach(() => folder[Symbol.dispose]());

const leave = (...roles: string[]): void => {
  for (const role of roles) writeFileSync(folder.file('credentials', `${role}.json`), '{}', { mode: 0o600 });
};

test('the best credentials that npm start has left are used', () => {
  leave('reader', 'operator');
  expect(connection({}, env()).context).toBe(folder.file('credentials', 'operator.json'));
  leave('admin');
  expect(connection({}, env()).context).toBe(folder.file('credentials', 'admin.json'));
});

test('a flag beats the environment, which beats what was left', () => {
  leave('admin');
  const given = env({ VIRTBUS_CONTEXT: '/a.json', VIRTBUS_NATS_URL: 'nats://a' });
  expect(connection({}, given)).toMatchObject({ context: '/a.json', url: 'nats://a' });
  expect(connection({ context: '/b.json', url: 'nats://b' }, given)).toMatchObject({
    context: '/b.json',
    url: 'nats://b',
  });
});

test('a user, a token or a NATS credentials file needs no context', () => {
  leave('admin');
  expect(connection({}, env({ VIRTBUS_NATS_USER: 'ann' })).context).toBeUndefined();
  expect(connection({}, env({ VIRTBUS_NATS_CREDS: '/ann.creds' })).context).toBeUndefined();
});

test('without any credentials the error says where they were looked for and what to do', () => {
  expect(() => connection({}, env())).toThrow(`${folder.file('credentials')}; run 'npm start' on this machine`);
  expect(connection({}, env({ VIRTBUS_NATS_URL: 'nats://open' })).url).toBe('nats://open');
});
