/** Probing the installed QEMU, and remembering what was found. */
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findMachine } from '@virtbus/domain-xml';
import { MonitorTimeout } from '../qmp';
import { judgeKvm, runFirmware } from './kvm';
import { probe } from './probe';
import { CapabilityStore, type ProbedEmulator } from './store';

const emulator = '/usr/bin/qemu-system-x86_64';
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'caps-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const found = { capabilities: { flags: new Set(['b', 'a']) }, kvm: { usable: false, reason: 'x' } };

test('the installed QEMU tells its machines, CPUs and flags', async () => {
  const capabilities = await probe(emulator, false);
  expect(capabilities.version).toBeGreaterThanOrEqual(6_002_000);
  expect(capabilities.arch).toBe('x86_64');
  expect(Object.keys(capabilities.accelerators)).toEqual(['tcg']);
  expect(findMachine(capabilities, 'qemu', 'q35')).toMatchObject({ alias: 'q35', defaultRamId: 'pc.ram' });
  expect([...capabilities.flags]).toEqual(expect.arrayContaining(['tcg', 'virtio-net', 'seccomp-sandbox', 'VGA']));
  expect(capabilities.accelerators.tcg!.hostCpu!.properties.length).toBeGreaterThan(100);
});

test('firmware runs to its end under emulation, and a program that is no QEMU does not', async () => {
  await expect(runFirmware(emulator, 'tcg', 10_000)).resolves.toBeGreaterThan(0);
  await expect(runFirmware('/bin/true', 'tcg', 1000)).resolves.toBeUndefined();
  await expect(runFirmware('/nonexistent', 'tcg', 1000)).resolves.toBeUndefined();
  await expect(runFirmware('/bin/cat', 'kvm', 1000)).resolves.toBeUndefined();
});

test('the verdict on KVM gives its reason', async () => {
  const verdict = await judgeKvm(emulator);
  expect(verdict.reason).toMatch(/kvm/i);
});

test('a binary is probed once, by whoever asks, and not again by the next process', async () => {
  let probes = 0;
  const probeOnce = (): Promise<ProbedEmulator> => Promise.resolve((probes++, found as unknown as ProbedEmulator));
  const store = new CapabilityStore(folder, probeOnce);
  await Promise.all([store.of(emulator), store.of(emulator)]);
  await store.of(emulator);
  const next = await new CapabilityStore(folder, probeOnce).of(emulator);
  expect(next).toEqual(found);
  expect(probes).toBe(1);
  expect(readdirSync(folder)).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.json$/)]);
});

test('a changed binary or a damaged file is probed again', async () => {
  const binary = join(folder, 'qemu');
  writeFileSync(binary, 'one');
  let probes = 0;
  const probeOnce = (): Promise<ProbedEmulator> => Promise.resolve((probes++, found as unknown as ProbedEmulator));
  const store = new CapabilityStore(join(folder, 'cache'), probeOnce);
  await store.of(binary);
  writeFileSync(binary, 'other');
  await store.of(binary);
  expect(probes).toBe(2);
  const [file] = readdirSync(join(folder, 'cache'));
  writeFileSync(join(folder, 'cache', file!), '{"fing');
  await new CapabilityStore(join(folder, 'cache'), probeOnce).of(binary);
  expect(probes).toBe(3);
});

test('a binary that is no QEMU is refused, and remembered as such', async () => {
  const binary = join(folder, 'qemu');
  writeFileSync(binary, `#!/bin/sh\necho run >> ${folder}/runs\necho 'cannot load library' >&2; exit 1\n`);
  chmodSync(binary, 0o755);
  const refusal = `cannot use emulator ${binary}: process exited while connecting to monitor: cannot load library`;
  const store = new CapabilityStore(join(folder, 'cache'), async (path) => ({
    kvm: { usable: false, reason: 'not asked' },
    capabilities: await probe(path, false),
  }));
  await expect(store.of(binary)).rejects.toThrow(refusal);
  const runs = readdirSync(folder);
  rmSync(join(folder, 'runs'));
  await expect(new CapabilityStore(join(folder, 'cache')).of(binary)).rejects.toThrow(refusal);
  expect(runs).toContain('runs');
  expect(readdirSync(folder)).not.toContain('runs');
  await expect(store.of('/nonexistent/qemu')).rejects.toThrow('cannot use emulator /nonexistent/qemu: ENOENT');
});

test('a probe that ran out of time is not remembered', async () => {
  let probes = 0;
  const store = new CapabilityStore(folder, () => {
    probes++;
    return Promise.reject(new MonitorTimeout('query-qmp-schema', 30_000));
  });
  await expect(store.of(emulator)).rejects.toBeInstanceOf(MonitorTimeout);
  await expect(store.of(emulator)).rejects.toBeInstanceOf(MonitorTimeout);
  expect(probes).toBe(2);
});
