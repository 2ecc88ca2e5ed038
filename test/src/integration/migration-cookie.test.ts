/**
 * What driver-qemu's begin and prepare send each other, read by the rules of the protocol and by nothing of ours: the bytes on the
 * wire, what each element must hold, which features are mandatory, who the document is about.
 */
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { writeFileSync } from 'node:fs';
import { eventFilter, migrationBegin, migrationUndo, type MigrationView } from '@virtbus/shared';
import { callDriver, tail } from '@virtbus/shared/bus';
import { findProgram, requirement, Stack } from '@virtbus/testkit';
import { env, finish, move, perform, qemu, upToPrepared, type Move } from './host-moves';
import { disk } from './storage-stand';

jest.setTimeout(300_000);

interface Element {
  name: string;
  attributes: Record<string, string>;
  children: Element[];
  text: string;
}

const entities: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
const plain = (text: string): string => text.replace(/&(\w+);/g, (_all, name: string) => entities[name] ?? '?');

/** Elements, attributes and text: all that a cookie has. Throws for what is not well formed. */
function parse(xml: string): Element {
  const root: Element = { name: '', attributes: {}, children: [], text: '' };
  const open = [root];
  for (const [token, close, name, attributes = '', empty] of xml.matchAll(
    /<(\/)?([\w-]+)((?:\s+[\w-]+=(?:'[^'<]*'|"[^"<]*"))*)\s*(\/)?>|[^<]+|</g,
  )) {
    const here = open.at(-1)!;
    if (token === '<') throw new Error(`not well formed near ${xml.slice(0, 80)}`);
    if (name === undefined) here.text += plain(token);
    else if (close) {
      if (open.pop()!.name !== name) throw new Error(`</${name}> closes another element`);
    } else {
      const pairs = [...attributes.matchAll(/([\w-]+)=(?:'([^']*)'|"([^"]*)")/g)];
      const element: Element = {
        ...{ name, children: [], text: '' },
        attributes: Object.fromEntries(pairs.map(([, key, one, other]) => [key!, plain(one ?? other ?? '')])),
      };
      here.children.push(element);
      if (!empty) open.push(element);
    }
  }
  if (open.length !== 1 || root.children.length !== 1) throw new Error('not one whole document');
  return root.children[0]!;
}

/** A peer takes what ends in NUL, counted in, and no more than libvirt took at the beginning. */
function document(bytes: Uint8Array): Element {
  expect(bytes.at(-1)).toBe(0);
  expect(bytes.indexOf(0)).toBe(bytes.length - 1);
  expect(bytes.length).toBeLessThanOrEqual(16_384);
  const cookie = parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, -1)));
  expect(cookie.name).toBe('qemu-migration');
  return cookie;
}

const all = (of: Element, name: string): Element[] => of.children.filter((child) => child.name === name);
const only = (of: Element, name: string): Element => {
  expect(all(of, name)).toHaveLength(1);
  return all(of, name)[0]!;
};

/** Names of elements that a reader of libvirt knows. */
const known = new Set([
  ...['name', 'uuid', 'hostname', 'hostuuid', 'feature', 'graphics', 'lockstate', 'domain', 'network', 'nbd'],
  ...['statistics', 'cpu', 'capabilities', 'blockDirtyBitmaps'],
]);
const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function mustBeAbout(cookie: Element, { name, uuid }: { name: string; uuid: string }, reader: string): string {
  for (const child of cookie.children) expect(known).toContain(child.name);
  expect(only(cookie, 'name').text).toBe(name);
  expect(only(cookie, 'uuid').text).toBe(uuid);
  expect(only(cookie, 'hostname').text).toBe(hostname());
  const host = only(cookie, 'hostuuid').text;
  expect(host).toMatch(uuidPattern);
  expect(host).not.toBe(reader); // else: an attempt to migrate to the same host
  return host;
}

test('the cookies of begin and prepare are what a reader of the protocol takes, field by field', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const image = stack.folder.file('disk.img');
  const capacity = 1024 * 1024;
  writeFileSync(image, Buffer.alloc(capacity));
  const devices = disk(image, 'raw');
  const name = 'a <b> & c';
  const spec = { name: 'a &lt;b&gt; &amp; c', host: 'h1', devices };
  const { uuid, epoch } = await stack.run(await stack.connect(), spec);
  const moved = (more: object): Move =>
    move({ uuid, name, from: 'h1', to: 'h2', epoch: epoch + 1 }, { storage: 'full', ...more });
  const begin = (one: Move): Promise<MigrationView> =>
    callDriver(
      bus,
      qemu('h1'),
      migrationBegin,
      { id: one.id, peer: qemu('h2'), options: one.options },
      { domain: uuid },
    );

  // A, for prepare: who it is about, its locks, its disks with their size, what QEMU can.
  const first = moved({});
  const begun = await begin(first);
  const a = document(begun.cookie!);
  const source = mustBeAbout(a, { name, uuid }, '');
  expect(all(a, 'feature').map(({ attributes }) => attributes)).toEqual([{ name: 'lockstate' }]);
  const locks = only(a, 'lockstate');
  expect(locks.attributes.driver).toEqual(expect.any(String));
  expect(only(locks, 'leases').text).not.toBe(''); // mandatory as soon as the feature is named
  const nbd = only(a, 'nbd');
  expect(nbd.attributes).toEqual({}); // a port is the target's to give; 0 is left out
  expect(only(nbd, 'disk').attributes).toEqual({ target: 'vda', capacity: String(capacity) });
  const caps = all(only(a, 'capabilities'), 'cap').map(({ attributes }) => attributes);
  for (const cap of caps) expect(cap).toEqual({ name: expect.any(String), auto: expect.stringMatching(/^(yes|no)$/) });
  expect(caps.map(({ name: of }) => of)).toContain('pause-before-switchover');

  await undo(first);

  // B, for perform: who answers, and where it takes disks.
  const there = stack.folder.file('there.img');
  writeFileSync(there, Buffer.alloc(capacity));
  const one = moved({ xml: begun.xml!.replaceAll(image, there) });
  const b = document((await upToPrepared(bus, one)).cookie!);
  mustBeAbout(b, { name, uuid }, source);
  expect(Number(only(b, 'nbd').attributes.port)).toBeGreaterThan(0);
  for (const feature of all(b, 'feature')) expect(['persistent']).toContain(feature.attributes.name);

  await undo(one);

  async function undo({ id }: Move): Promise<void> {
    for (const [host, role] of [
      ['h2', 'target'],
      ['h1', 'source'],
    ] as const) {
      const ask = { id, role, targetUndone: true };
      expect(await callDriver(bus, qemu(host), migrationUndo, ask, { domain: uuid })).toMatchObject({
        phase: 'undone',
      });
    }
  }
});

const needsSpice = requirement('a QEMU with SPICE', () => {
  const emulator = findProgram('qemu-system-x86_64');
  if (emulator === undefined) return false;
  const { stdout } = spawnSync(emulator, ['-spice', 'help'], { encoding: 'utf8', timeout: 30_000 });
  return stdout.includes('seamless-migration');
});

needsSpice.test('clients of a screen are told where it is on the target, by the cookie and by an event', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const [bus, user] = [await stack.connect('service'), await stack.connect()];
  const devices = "<graphics type='spice' autoport='yes' listen='127.0.0.1'/>";
  const { uuid, epoch } = await stack.run(user, { name: 'seen', host: 'h1', devices });
  const one = move({ uuid, name: 'seen', from: 'h1', to: 'h2', epoch: epoch + 1 });
  const prepared = await upToPrepared(bus, one);
  const { attributes } = only(document(prepared.cookie!), 'graphics');
  expect(attributes).toEqual({ type: 'spice', port: expect.any(String), listen: '127.0.0.1', tlsPort: '-1' });
  const port = Number(attributes.port);
  expect(port).toBeGreaterThan(5900); // that of the source is another
  await finish(bus, one, await perform(bus, one, prepared));
  const filter = eventFilter({ class: 'lifecycle', type: 'started' });
  for await (const { event } of tail(user, { filter, since: 'all', signal: AbortSignal.timeout(60_000) })) {
    if (event.detail !== 'migrated') continue;
    expect(event.data).toEqual({ screens: [{ type: 'spice', port, listen: '127.0.0.1' }] });
    return;
  }
  throw new Error('no event tells of the move');
});
