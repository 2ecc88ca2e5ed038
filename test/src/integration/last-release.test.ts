/** Those who speak the contracts of the last release, on today's services: a client by the bytes it sends, a driver by its answers. */
import { getDomain, listDomains, listHosts, startDomain, statsOfDomains } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { eventually, Stack, temporaryFolder } from '@virtbus/testkit';
import { FrozenClient } from '../compatibility/frozen-client';
import { FrozenDriver } from '../compatibility/frozen-driver';
import { readReleased } from '../compatibility/released';
import { folderWord, name, simulatedHost, storageHost, uuid } from '../compatibility/scenario';

const released = readReleased();

describe('a client of the last release', () => {
  let stack: Stack;
  let client: FrozenClient;
  beforeAll(async () => {
    stack = await Stack.start({ hosts: [storageHost], testHosts: [simulatedHost] });
    client = await FrozenClient.connect(stack.context('admin'), released);
  }, 90_000);
  afterAll(async () => {
    await client?.[Symbol.asyncDispose]();
    await stack?.[Symbol.asyncDispose]();
  }, 60_000);

  const domainOf = async (step: string): Promise<unknown> => (await client.ask(step)).body['domain'];

  test('lives through a domain’s life, is refused by codes that it knows, and reads the events', async () => {
    expect((await client.ask('hosts')).body['hosts']).toContainEqual(
      expect.objectContaining({ host: simulatedHost, driver: 'test', online: true }),
    );
    expect(await domainOf('define')).toMatchObject({ uuid, name, state: 'shutoff', host: simulatedHost });
    expect(await domainOf('get')).toMatchObject({ uuid });
    const started = await domainOf('start');
    expect(started).toMatchObject({ state: 'running' });
    expect((await client.ask('list')).body['domains']).toContainEqual(
      expect.objectContaining({ uuid, state: 'running' }),
    );
    expect((await client.ask('stats')).body['stats']).toMatchObject({ uuid });
    expect(await domainOf('suspend')).toMatchObject({ state: 'paused' });
    expect(await domainOf('resume')).toMatchObject({ state: 'running' });
    expect(await domainOf('start')).toEqual(started);
    expect((await client.ask('start what runs')).error).toBe('OPERATION_INVALID');
    expect((await client.ask('nonsense')).error).toBe('INVALID_ARG');
    expect((await client.ask('start nobody')).error).toBe('DOMAIN_NOT_FOUND');
    expect((await client.ask('xml')).body['xml']).toContain(`<uuid>${uuid}</uuid>`);

    await client.queue('destroy, queued');
    const outcomes = (): Promise<Record<string, unknown>[]> =>
      client.stored('virtbus.v1.event.command.*.*', 'the outcome of a queued command');
    await eventually(async () => (await outcomes()).map(({ operation }) => operation), ['domain.destroy'], {
      timeoutMs: 60_000,
    });
    expect((await outcomes())[0]).not.toHaveProperty('error');
    await client.ask('undefine');

    const told = async (): Promise<unknown[]> =>
      (await client.stored(`virtbus.v1.event.domain.${uuid}.lifecycle.*.*`, 'an event of a domain')).map(
        (event) => event['type'],
      );
    const life = ['defined', 'resumed', 'started', 'suspended', 'resumed', 'stopped', 'undefined'];
    await eventually(told, life, { timeoutMs: 60_000 });
  }, 120_000);

  test('makes a pool and a volume in it, and finds both', async () => {
    using folder = temporaryFolder();
    expect((await client.ask('create pool', { [folderWord]: folder.path })).error).toBeUndefined();
    expect((await client.ask('create volume')).error).toBeUndefined();
    expect((await client.ask('pools')).body['pools']).toContainEqual(expect.objectContaining({ name: 'kept' }));
    expect((await client.ask('volumes')).body['volumes']).toContainEqual(expect.objectContaining({ name: 'a.raw' }));
  }, 60_000);
});

test('a driver of the last release that tells no more than it must is listed, asked and commanded', async () => {
  await using stack = await Stack.start({ hosts: [], testHosts: [simulatedHost] });
  await stack.drivers.get(simulatedHost)!.stop('SIGTERM');
  await using driver = await FrozenDriver.connect(stack.context(`host-${simulatedHost}`), released.driver);
  const bus = await stack.connect();
  const names = async (): Promise<string[]> => (await call(bus, listDomains, {})).domains.map((domain) => domain.name);
  await eventually(names, [name], { timeoutMs: 60_000 });
  const online = async (): Promise<boolean[]> => (await call(bus, listHosts, {})).hosts.map((host) => host.online);
  await eventually(online, [true], { timeoutMs: 60_000 });
  expect((await call(bus, getDomain, {}, { target: name })).domain).toMatchObject({ uuid, state: 'shutoff' });
  expect((await call(bus, startDomain, {}, { target: name })).domain).toMatchObject({ state: 'running' });
  expect((await call(bus, statsOfDomains, {})).stats).toEqual(expect.any(Array));
  expect(driver.asked).toEqual(expect.arrayContaining(['inventory', 'start', 'stats-all']));
}, 120_000);
