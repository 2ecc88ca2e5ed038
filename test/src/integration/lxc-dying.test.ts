/** A container whose init has ended and is not gone yet: what is asked of it then, and what is lost. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  attachDevice,
  destroyDomain,
  getDomainXml,
  rebootDomain,
  resumeDomain,
  startDomain,
  suspendDomain,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { cgroupOf, eventually, Stack } from '@virtbus/testkit';
import { shownInside } from './lxc-command';
import { holdRebooting, needsHeldInit } from './lxc-dying-init';
import { catchesInterrupt, reboot } from './lxc-rebooting';

const held = needsHeldInit();
let stack: Stack;
let bus: Bus;
let uuid: string;

const inside = (...words: string[]): Promise<string> => shownInside(bus, uuid, ...words);
const init = (): number => stack.containerInit(uuid);

beforeAll(async () => {
  if (!held.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['c1'] });
  await stack.startStorage('c1');
  bus = await stack.connect();
}, 60_000);
beforeEach(async () => {
  if (!held.met) return;
  const name = `dying${Math.random().toString(36).slice(2, 8)}`;
  ({ uuid } = await stack.runContainer(bus, { name }));
  await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
}, 60_000);
afterEach(async () => {
  if (held.met) await call(bus, destroyDomain, {}, { target: uuid });
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

held.test(
  'a device that cannot be plugged again because the container is rebooting once more is not lost',
  async () => {
    const folder = stack.folder.file('kept');
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/which`, 'kept\n');
    const xml = `<filesystem type='mount'><source dir='${folder}'/><target dir='/mnt/kept'/></filesystem>`;
    await call(bus, attachDevice, { xml, affect: 'live' }, { target: uuid });
    const another = xml.replace('/mnt/kept', '/mnt/another');
    const document = async (): Promise<string> => (await call(bus, getDomainXml, {}, { target: uuid })).xml;
    const before = await document();
    const seen = async (): Promise<number> =>
      (await stack.events(bus, uuid)).filter(({ class: family }) => family === 'reboot').length;
    let again: AsyncDisposable | undefined;
    // Once while nobody looks: what is brought then is brought to one that reboots again.
    await stack.restartDriver('c1', async () => {
      await reboot(stack, uuid);
      again = await holdRebooting(init());
    });
    try {
      await eventually(seen, 1);
      await expect(call(bus, attachDevice, { xml: another, affect: 'live' }, { target: uuid })).rejects.toThrow(
        'Init process ID is not yet known',
      );
      await expect(call(bus, rebootDomain, {}, { target: uuid })).rejects.toThrow('Init process ID is not yet known');
      expect(await document()).toBe(before);
    } finally {
      await again?.[Symbol.asyncDispose]();
    }
    await eventually(seen, 2);
    expect(await document()).toBe(before);
    await eventually(() => inside('cat', '/mnt/kept/which'), 'kept\n');
  },
  120_000,
);

held.test(
  'one that is rebooting is not suspended, and runs when it has',
  async () => {
    const before = init();
    {
      await using _ = await holdRebooting(before);
      await expect(call(bus, suspendDomain, {}, { target: uuid })).rejects.toThrow(
        'the container is rebooting or has ended',
      );
      expect(await stack.state(bus, uuid)).toBe('running(booted)');
    }
    await eventually(() => inside('echo', 'up'), 'up\n');
    expect(init()).not.toBe(before);
    expect(await stack.state(bus, uuid)).toBe('running(booted)');
  },
  120_000,
);

held.test(
  'one that is rebooting takes no commands, and comes back however many are given meanwhile',
  async () => {
    for (let round = 1; round <= 5; round++) {
      const before = init();
      {
        await using _ = await holdRebooting(before);
        await expect(inside('echo', 'up')).rejects.toThrow('Init process ID is not yet known');
      }
      const come = async (): Promise<unknown> => eventually(() => inside('echo', 'up'), 'up\n');
      await Promise.all([come(), come()]);
      expect(init()).not.toBe(before);
    }
  },
  120_000,
);

const waysToSuspend: Record<string, () => Promise<unknown>> = {
  'was suspended': () => call(bus, suspendDomain, {}, { target: uuid }),
  'was started paused': async () => {
    await call(bus, destroyDomain, {}, { target: uuid });
    await call(bus, startDomain, { paused: true }, { target: uuid });
  },
};
for (const [how, suspend] of Object.entries(waysToSuspend))
  held.test(
    `one that ${how}, and has rebooted all the same, is suspended again`,
    async () => {
      const freezer = (): string => {
        const { folder } = cgroupOf(init(), 'freezer');
        return join(folder.replace(/\/inner$/, ''), 'freezer.state');
      };
      await eventually(() => catchesInterrupt(init()), true);
      await suspend();
      writeFileSync(freezer(), 'THAWED');
      await reboot(stack, uuid);
      await eventually(() => readFileSync(freezer(), 'utf8'), 'FROZEN\n');
      expect(await stack.state(bus, uuid)).toBe('paused(user)');
      await call(bus, resumeDomain, {}, { target: uuid });
      await eventually(() => inside('echo', 'up'), 'up\n');
    },
    120_000,
  );
