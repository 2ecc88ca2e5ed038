/** Whole command lines over a real nats-server, answered by a small service of this test. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import {
  attachDevice,
  checkMigration,
  defineDomain,
  detachDevice,
  eventSubject,
  getDomain,
  getDomainXml,
  getDomainXmlWithSecrets,
  listDomains,
  listHosts,
  migrateDomain,
  openConsole,
  removeManagedSave,
  showMigration,
  shutdownDomain,
  startDomain,
  startPostcopy,
  VirtError,
  type DomainEvent,
  type DomainSummary,
  type Migration,
} from '@virtbus/shared';
import {
  connectBus,
  encode,
  endpoint,
  ensureJetStream,
  hostStream,
  lastSequence,
  serve,
  type Bus,
} from '@virtbus/shared/bus';
import { silent } from '@virtbus/shared/log';
import { eventually, freePort, startNatsServer, temporaryFolder, type NatsServer } from '@virtbus/testkit';
import { run } from './run';

const web1: DomainSummary = {
  uuid: '0b9a3b4e-5d2c-4f2a-9d3e-1a2b3c4d5e6f',
  name: 'web1',
  host: 'h1',
  driver: 'qemu',
  epoch: 1,
  revision: 1,
  id: 7,
  state: 'running',
  reason: 'booted',
  persistent: true,
  updated: false,
  autostart: false,
  managedSave: false,
  memoryKiB: 131_072,
  maxMemoryKiB: 131_072,
  vcpus: 1,
  maxVcpus: 1,
  osType: 'hvm',
  arch: 'x86_64',
  virtType: 'qemu',
};
/** How often somebody has asked how far the migration is. */
let looks = 0;
/** In its second pass at the second look, over at the fourth. */
const moving = (look: number): Migration => ({
  id: 'm1',
  domain: web1.uuid,
  name: 'web1',
  source: { host: 'h1', driver: 'qemu' },
  target: { host: 'h2', driver: 'qemu' },
  state: look < 4 ? 'running' : 'completed',
  step: look < 4 ? 'perform' : 'done',
  started: 0,
  owed: [],
  limits: {},
  progress: { elapsedMs: look, pass: look < 2 ? 1 : 2 },
});
const stays: Migration = { ...moving(4), state: 'failed', reason: 'operation failed: no port is free' };
const xml = `<domain type='qemu'><name>web1</name><devices>
  <disk type='file' device='disk'><source file='/srv/a&amp;b.img'/><target dev='vdb' bus='virtio'/></disk>
</devices></domain>`;

let nats: NatsServer;
let bus: Bus;
/** What the service was asked, latest last. */
const asked: { operation: string; target?: string | undefined; id?: string; request: unknown }[] = [];

beforeAll(async () => {
  nats = await startNatsServer();
  bus = await connectBus({ url: nats.url, name: 'test service' });
  await ensureJetStream(bus);
  const note = (operation: string, request: unknown, call: { target: string | undefined; id: string }): void => {
    asked.push({ operation, request, target: call.target, id: call.id });
    if (call.target === 'nobody') throw new VirtError('DOMAIN_NOT_FOUND', { domain: 'nobody' });
    if (call.target === 'away') throw new VirtError('HOST_OFFLINE', { host: 'h2', service: 'driver-qemu' });
  };
  const asOf = (): Promise<number> => lastSequence(bus);
  const options = { name: 'stand', version: '0.0.1', description: 'answers for a test', queue: 'stand' };
  const endpoints = [
    endpoint(listHosts, async () => ({ hosts: [] })),
    endpoint(listDomains, async (request, call) => {
      note('list', request, call);
      const page = request.after ? 2 : 1;
      return {
        domains: [{ ...web1, name: `web${page}`, id: page }],
        ...(page === 1 ? { next: 'x' } : {}),
        total: 2,
        asOf: 17,
        offline: ['h9'],
      };
    }),
    endpoint(getDomain, async (request, call) => {
      note('get', request, call);
      return { domain: web1, asOf: await asOf(), online: true };
    }),
    endpoint(getDomainXml, async (request) => (request.format === 'json' ? { document: { name: 'web1' } } : { xml })),
    endpoint(getDomainXmlWithSecrets, async () => ({ xml })),
    endpoint(defineDomain, async (request, call) => {
      note('define', request, call);
      if (request.xml?.startsWith('broken')) throw new VirtError('XML_DETAIL', { detail: 'text outside of root' });
      return { domain: web1, warnings: ['<foo> is unknown'] };
    }),
    endpoint(startDomain, async (request, call) => {
      note('start', request, call);
      if (call.target === 'stuck') await new Promise(() => undefined);
      return { domain: web1 };
    }),
    endpoint(shutdownDomain, async (request, call) => {
      note('shutdown', request, call);
      const stopped = { ...web1, id: -1, state: 'shutoff' } as const;
      // One of before, which a log that was lost is told again.
      await publish('stopped', 'failed', { ...stopped, revision: 1 });
      if (call.target !== 'deaf') await publish('stopped', 'shutdown', { ...stopped, revision: 2 });
      return { domain: web1 };
    }),
    endpoint(attachDevice, async (request, call) => {
      note('attach', request, call);
      return { domain: web1 };
    }),
    endpoint(detachDevice, async (request, call) => {
      note('detach', request, call);
      return { domain: web1 };
    }),
    endpoint(removeManagedSave, async () => ({ domain: web1, removed: false })),
    endpoint(checkMigration, async ({ to, timeout }, call) => {
      if (timeout) note('migrate-check', { timeout }, call);
      return { reasons: to === 'h2' ? [] : [{ where: to, code: 'INVALID_ARG', message: 'it is full' }] };
    }),
    endpoint(migrateDomain, async (_request, { target }) => ({
      migration: target === 'stays' ? stays : moving(1),
    })),
    endpoint(showMigration, async () => ({ migration: moving(++looks) })),
    endpoint(startPostcopy, async (request, call) => {
      note(`post-copy after ${looks} looks`, request, call);
      return { migration: moving(looks) };
    }),
    endpoint(openConsole, async (request) => {
      const stream = hostStream(bus, 'h1', request.session, (bytes) => void stream.write(bytes));
      setTimeout(() => {
        void stream.write(Buffer.from('login: ')).then(() => stream.end('domain stopped'));
      }, 50);
      return { host: 'h1', device: 'serial0', input: `virtbus.v1.stream.h1.${request.session}.in` };
    }),
  ];
  await serve(bus, options, endpoints, silent);
});

afterAll(async () => {
  await bus.close();
  await nats[Symbol.asyncDispose]();
});

beforeEach(() => asked.splice(0));

async function publish(type: string, detail: string, domain: DomainSummary): Promise<void> {
  const event: DomainEvent = {
    id: `${type}-${Math.random()}`,
    class: 'lifecycle',
    type,
    detail,
    time: '2026-01-02T10:11:12.345Z',
    host: 'h1',
    domain,
  };
  const subject = eventSubject({ uuid: domain.uuid, class: 'lifecycle', type, host: 'h1' });
  await bus.js.publish(subject, encode(event, 'json'));
}

interface Result {
  exit: number;
  out: string;
  err: string;
}

async function virtbus(...words: string[]): Promise<Result> {
  const result: Result = { exit: -1, out: '', err: '' };
  const into = (name: 'out' | 'err'): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        result[name] += chunk.toString();
        done();
      },
    });
  const streams = { stdout: into('out'), stderr: into('err'), env: {} };
  result.exit = await run(['--url', nats.url, ...words], streams, '1.2.3');
  return result;
}

describe('an answer', () => {
  test('is words for people and one document for programs', async () => {
    expect(await virtbus('start', 'web1', '--paused')).toEqual({ exit: 0, out: "Domain 'web1' started\n", err: '' });
    expect(asked).toMatchObject([{ operation: 'start', target: 'web1', request: { paused: true } }]);
    const { out } = await virtbus('start', 'web1', '--json');
    expect(JSON.parse(out)).toEqual({ domain: web1 });
  });

  test('comes to a domain that is named as an option, as in virsh', async () => {
    expect((await virtbus('start', '--domain', 'web1')).exit).toBe(0);
    expect(asked).toMatchObject([{ operation: 'start', target: 'web1' }]);
  });

  test('carries the command id that was chosen', async () => {
    await virtbus('start', 'web1', '--id', 'mine-1');
    expect(asked).toMatchObject([{ id: 'mine-1' }]);
  });

  test('of several pages is one list, with a note on hosts that do not answer', async () => {
    const { out, err } = await virtbus('list', '--all');
    expect(out).toBe(
      [
        ' Id   Name   State     Host',
        '-----------------------------',
        ' 1    web1   running   h1',
        ' 2    web2   running   h1',
        '',
      ].join('\n'),
    );
    expect(err).toContain('no answer from h9');
    const listed = JSON.parse((await virtbus('list', '--json')).out) as { asOf: number; domains: unknown[] };
    expect([listed.asOf, listed.domains.length]).toEqual([17, 2]);
  });
});

describe('a failure', () => {
  test('that virtbus answers is one line and exit code 1', async () => {
    const { exit, out, err } = await virtbus('start', 'nobody');
    expect([exit, out]).toEqual([1, '']);
    expect(err).toBe("error: Domain not found: no domain with matching name or uuid 'nobody'\n");
  });

  test('is JSON on standard error with --json', async () => {
    const { exit, out, err } = await virtbus('start', 'nobody', '--json');
    expect([exit, out]).toEqual([1, '']);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'DOMAIN_NOT_FOUND', number: 42, exitCode: 1 } });
  });

  test('of the command line asks nobody and is exit code 2', async () => {
    const lines = [
      ['start'],
      ['start', 'a', 'b'],
      ['strat', 'a'],
      ['start', 'a', '--fast'],
      ['setmem', 'a', 'lots'],
      ['chain', 'users', 'a'],
    ];
    for (const line of lines) expect([line, (await virtbus(...line)).exit]).toEqual([line, 2]);
    expect((await virtbus('strat')).err).toContain('Did you mean start?');
    expect(asked).toEqual([]);
  });

  test('to reach the host, a service or the bus is exit code 3', async () => {
    expect((await virtbus('start', 'away')).exit).toBe(3);
    expect(await virtbus('suspend', 'web1')).toMatchObject({
      exit: 3,
      err: expect.stringContaining('is virtbus running'),
    });
    expect((await virtbus('list', '--url', `nats://127.0.0.1:${await freePort()}`)).exit).toBe(3);
  });

  test('to answer in time is exit code 4', async () => {
    expect((await virtbus('start', 'stuck', '--timeout', '0.2')).exit).toBe(4);
    // Longer than timers reach.
    expect((await virtbus('start', 'web1', '--timeout', '10000000')).exit).toBe(0);
  });
});

describe('a definition', () => {
  test('goes as it is written, with warnings beside the answer', async () => {
    using folder = temporaryFolder();
    writeFileSync(folder.file('web1.xml'), '<domain/>');
    const path = folder.file('web1.xml');
    const { out, err } = await virtbus('define', path, '--host', 'h1', '--label', 'disk=ssd');
    expect([out, err]).toEqual([`Domain 'web1' defined from ${path}\n`, 'warning: <foo> is unknown\n']);
    expect(asked[0]?.request).toMatchObject({ xml: '<domain/>', host: 'h1', labels: { disk: 'ssd' } });
  });

  test('comes as XML, or as JSON with --json', async () => {
    expect((await virtbus('dumpxml', 'web1')).out).toBe(`${xml}\n`);
    expect(JSON.parse((await virtbus('dumpxml', 'web1', '--json')).out)).toEqual({ name: 'web1' });
  });

  test('opens in the editor; what it was changed to goes to its host', async () => {
    const { out } = await editing('echo "<!-- mine -->" >> "$1"');
    expect(out).toBe("Domain 'web1' XML configuration edited.\n");
    expect(asked.at(-1)?.request).toMatchObject({ xml: `${xml}<!-- mine -->\n`, host: 'h1' });
    expect((await editing('true')).out).toBe("Domain 'web1' XML configuration not changed.\n");
  });

  test('stays as it was when the editor fails, and a refused edit is kept in a file', async () => {
    expect(await editing('exit 3')).toMatchObject({ exit: 2, err: expect.stringContaining('nothing was changed') });
    const { exit, err } = await editing('echo broken > "$1"');
    expect(exit).toBe(1);
    const kept = /kept in (.*)/.exec(err)![1]!;
    expect(readFileSync(kept, 'utf8')).toBe('broken\n');
    rmSync(dirname(kept), { recursive: true });
  });
});

/** `virtbus edit web1` with an editor that runs these shell words on its file. */
async function editing(words: string): Promise<Result> {
  using folder = temporaryFolder();
  writeFileSync(folder.file('editor'), `#!/bin/sh\n${words}\n`, { mode: 0o755 });
  const { EDITOR, VISUAL } = process.env;
  Object.assign(process.env, { EDITOR: folder.file('editor'), VISUAL: '' });
  try {
    return await virtbus('edit', 'web1');
  } finally {
    Object.assign(process.env, { EDITOR: EDITOR ?? '', VISUAL: VISUAL ?? '' });
  }
}

describe('devices', () => {
  test('attach-disk --persistent changes the running domain and its definition', async () => {
    expect((await virtbus('attach-disk', 'web1', '/srv/c.img', 'vdc', '--persistent')).out).toBe(
      'Disk attached successfully\n',
    );
    expect(asked.at(-1)?.request).toMatchObject({ affect: 'both', xml: expect.stringContaining(`dev='vdc'`) });
  });

  test('detach-disk sends the disk as the document has it', async () => {
    expect((await virtbus('detach-disk', 'web1', 'vdb')).exit).toBe(0);
    expect(asked.at(-1)?.request).toEqual({
      affect: 'current',
      xml: `<disk type='file' device='disk'>\n  <source file='/srv/a&amp;b.img'/>\n  <target dev='vdb' bus='virtio'/>\n</disk>\n`,
    });
    expect(await virtbus('detach-disk', 'web1', 'vdx')).toMatchObject({
      exit: 1,
      err: expect.stringContaining(`no disk 'vdx'`),
    });
  });
});

describe('a queued command', () => {
  test('prints its id, and the same id again says that it was there', async () => {
    expect((await virtbus('start', 'web1', '--queue', '--id', 'q1')).out).toBe('Command q1 queued\n');
    expect((await virtbus('start', 'web1', '--queue', '--id', 'q1')).out).toContain('it was queued before');
    expect((await virtbus('outcome', 'q1')).exit).toBe(4);
  });

  test('tells its outcome', async () => {
    const outcome = { commandId: 'q2', operation: 'domain.start', domain: 'web1', time: '2026-01-02T10:11:12Z' };
    await bus.js.publish('virtbus.v1.event.command.q2.completed', encode(outcome, 'json'));
    expect((await virtbus('outcome', 'q2', '--wait')).out).toBe(
      "Command domain.start on domain 'web1' completed at 2026-01-02T10:11:12Z\n",
    );
    const error = new VirtError('OPERATION_INVALID', { detail: 'domain is already running' }).toBody();
    await bus.js.publish('virtbus.v1.event.command.q3.failed', encode({ ...outcome, commandId: 'q3', error }, 'json'));
    expect(await virtbus('outcome', 'q3')).toMatchObject({ exit: 1, err: expect.stringContaining('already running') });
  });
});

describe('the event log', () => {
  test('is read back from its beginning, a line an event, filtered', async () => {
    await publish('started', 'booted', web1);
    await publish('suspended', 'paused', { ...web1, uuid: '11111111-2222-4333-8444-555555555555', name: 'db' });
    const all = (await virtbus('events', '--json')).out.trim().split('\n');
    expect(all.length).toBeGreaterThanOrEqual(2);
    const ofDb = (await virtbus('events', '--domain', 'db')).out;
    expect(ofDb).toMatch(
      /^2026-01-02 10:11:12\.345 +\d+ {2}db {2}lifecycle suspended \(paused\) {2}host=h1 revision=1\n$/,
    );
    expect((await virtbus('events', '--domain', web1.uuid, '--type', 'started', '--count', '1')).out).toContain('web1');
  });

  test('is followed from now on until the count is reached', async () => {
    const following = virtbus('events', '--follow', '--type', 'resumed', '--count', '2', '--json');
    const ended = following.then(() => true);
    await eventually(
      async () => {
        await publish('resumed', 'unpaused', web1);
        return Promise.race([ended, new Promise((done) => setTimeout(done, 100, false))]);
      },
      true,
      { timeoutMs: 10_000 },
    );
    const lines = (await following).out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as DomainEvent);
    expect(lines.map(({ type }) => type)).toEqual(['resumed', 'resumed']);
  });

  test('tells shutdown --wait that the domain has stopped, and its deadline that it has not', async () => {
    expect((await virtbus('shutdown', 'web1', '--wait')).out).toBe("Domain 'web1' has shut down\n");
    expect((await virtbus('shutdown', 'deaf', '--wait', '--timeout', '0.3')).exit).toBe(4);
  });
});

test('a migration that is only tried tells by its exit code whether it could be', async () => {
  const could = { exit: 0, out: "Domain 'web1' can be moved to host 'h2'\n", err: '' };
  expect(await virtbus('migrate', 'web1', '--to', 'h2', '--dry-run')).toEqual(could);
  const couldNot = { exit: 1, out: 'h3: it is full\n', err: '' };
  expect(await virtbus('migrate', 'web1', '--to', 'h3', '--dry-run')).toEqual(couldNot);
});

test('a migration that is only tried is judged with all that was asked for', async () => {
  const tried = ['migrate', 'web1', '--to', 'h2', '--dry-run'];
  expect((await virtbus(...tried, '--patience', '5', '--timeout-postcopy')).exit).toBe(0);
  const request = { timeout: { afterMs: 5_000, action: 'postcopy' } };
  expect(asked).toMatchObject([{ operation: 'migrate-check', target: 'web1', request }]);
  const wrong = await virtbus(...tried, '--timeout-abort');
  expect([wrong.exit, wrong.err]).toEqual([2, expect.stringContaining('--timeout-abort needs --patience')]);
  const none = await virtbus(...tried, '--postcopy-after-precopy');
  expect([none.exit, none.err]).toEqual([2, expect.stringContaining('--postcopy-after-precopy needs --postcopy')]);
});

test('a migration that has failed says once that it has, and why', async () => {
  const failed = { exit: 1, out: '', err: 'error: operation failed: no port is free\n' };
  expect(await virtbus('migrate', 'stays', '--to', 'h2')).toEqual(failed);
});

test('what was not there is not said to be removed', async () => {
  const none = "Domain 'web1' has no managed save image; removal skipped\n";
  expect(await virtbus('managedsave-remove', 'web1')).toEqual({ exit: 0, out: none, err: '' });
});

test('post-copy after pre-copy begins once the first pass over the memory is done, and once', async () => {
  looks = 0;
  const { exit, out } = await virtbus(
    'migrate',
    'web1',
    '--to',
    'h2',
    '--live',
    '--postcopy',
    '--postcopy-after-precopy',
  );
  expect({ exit, out }).toEqual({ exit: 0, out: "Domain 'web1' moved to host 'h2'\n" });
  expect(asked.map(({ operation, target }) => [operation, target])).toEqual([['post-copy after 2 looks', 'm1']]);
});

test.each(['10', '10000000'])(
  'a console shows what the guest writes, and why it ended, for at most %s s',
  async (seconds) => {
    const { exit, out, err } = await virtbus('console', 'web1', '--for', seconds);
    expect([exit, out]).toEqual([0, 'login: ']);
    expect(err).toBe("Connected to domain 'web1'\nConsole of domain 'web1' ended: domain stopped\n");
  },
);
