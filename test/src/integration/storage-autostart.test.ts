/** Guests with disks come up with their host: on images that are as they were at once, else as soon as storage has been asked. */
import { readFileSync, writeFileSync } from 'node:fs';
import { destroyDomain, setAutostart, startDomain, storageLeases } from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { disk, overlay, rawImage } from './storage-stand';

jest.setTimeout(240_000);

const waits = 'autostart waits for storage';

/** As after a power cut: no guest is left, and the host has booted anew. */
async function boot(stack: Stack, before: () => Promise<void> = async () => undefined): Promise<string> {
  await stack.restartDriver('h1', async () => {
    for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
    await eventually(() => stack.guestPids().length, 0);
    const path = stack.folder.file('state', 'hosts', 'h1', 'qemu', 'boot.json');
    const host = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...host, bootId: 'another boot' }));
    await before();
  });
  return stack.drivers.get('h1')!.log.text;
}

async function holders(service: Bus): Promise<string[]> {
  const told = await callDriver(service, { host: 'h1', driver: 'storage' }, storageLeases, {});
  return told.holders.map(({ name }) => name).sort();
}

test('a guest whose images are as they were starts by itself; one that storage must look at starts when it has', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const service = await stack.connect('service');
  const file = (name: string): string => stack.folder.file(name);
  rawImage(file('base.img'), 'base');
  for (const name of ['same', 'fresh', 'other']) {
    overlay(file(`${name}.qcow2`), 'base.img', 'raw');
    const { uuid } = await stack.define(bus, { name, devices: disk(file(`${name}.qcow2`), 'qcow2') });
    await call(bus, setAutostart, { enabled: true }, { target: uuid });
    if (name !== 'fresh') await call(bus, startDomain, {}, { target: uuid });
  }
  const log = await boot(stack, async () => {
    // The storage service has died with the host, and an image is another one now.
    await stack.storages.get('h1')!.stop('SIGKILL');
    rawImage(file('moved.img'), 'base');
    overlay(file('other.qcow2'), 'moved.img', 'raw');
  });
  expect(await stack.state(bus, 'same')).toBe('running(booted)');
  expect(log.split('\n').filter((line) => line.includes(waits) && line.includes('"same"'))).toEqual([]);
  expect(log.split('\n').filter((line) => line.includes(waits))).toHaveLength(2);
  expect(await stack.state(bus, 'fresh')).toMatch('shutoff');
  await stack.startStorage('h1');
  await eventually(() => stack.state(bus, 'fresh'), 'running(booted)', { timeoutMs: 30_000 });
  await eventually(() => stack.state(bus, 'other'), 'running(booted)', { timeoutMs: 30_000 });
  await eventually(() => holders(service), ['fresh', 'other', 'same']);
});

test('a domain that starts with its host keeps its images while it is off, until another needs them', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const service = await stack.connect('service');
  rawImage(stack.folder.file('one.img'), 'one');
  const devices = disk(stack.folder.file('one.img'), 'raw');
  const { uuid } = await stack.run(bus, { name: 'sleeper', devices });
  await call(bus, setAutostart, { enabled: true }, { target: uuid });
  await call(bus, destroyDomain, {}, { target: uuid });
  // Whoever reads the log has seen the stop when it has seen what came after it.
  await stack.run(bus, { name: 'marker' });
  await call(bus, destroyDomain, {}, { target: 'marker' });
  expect(await holders(service)).toEqual(['sleeper']);
  await stack.run(bus, { name: 'taker', devices });
  expect(await holders(service)).toEqual(['taker']);
  const log = await boot(stack);
  expect(log).toContain(waits);
  await eventually(() => stack.state(bus, uuid), 'running(booted)', { timeoutMs: 60_000 });
});
