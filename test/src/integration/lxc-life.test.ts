/** A container over the bus, from define to its end, and what it tells of itself. */
import {
  defineDomain,
  destroyDomain,
  rebootDomain,
  resumeDomain,
  shutdownDomain,
  startDomain,
  suspendDomain,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, Stack } from '@virtbus/testkit';

const containers = needsContainers();
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['c1'] });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

const told = async (uuid: string): Promise<string[]> =>
  (await stack.events(bus, uuid)).map(({ class: family, type, detail }) =>
    [family === 'lifecycle' ? '' : `${family}.`, type, detail ? `(${detail})` : ''].join(''),
  );

containers.test('a container is defined, started, suspended, resumed and destroyed, each told once', async () => {
  const { domain } = await call(bus, defineDomain, { xml: await stack.containerXml({ name: 'life' }) });
  const { uuid } = domain;
  expect(domain).toMatchObject({ driver: 'lxc', virtType: 'lxc', osType: 'exe', state: 'shutoff' });
  await call(bus, startDomain, {}, { target: uuid });
  expect(await stack.state(bus, uuid)).toBe('running(booted)');
  await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted life');
  await call(bus, suspendDomain, {}, { target: uuid });
  expect(await stack.state(bus, uuid)).toBe('paused(user)');
  await call(bus, resumeDomain, {}, { target: uuid });
  await call(bus, destroyDomain, {}, { target: uuid });
  expect(await stack.state(bus, uuid)).toBe('shutoff(destroyed)');
  expect(await told(uuid)).toEqual([
    'defined(added)',
    'resumed(unpaused)',
    'started(booted)',
    'suspended(paused)',
    'resumed(unpaused)',
    'stopped(destroyed)',
  ]);
});
