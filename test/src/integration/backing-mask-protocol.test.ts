/**
 * What a block job records in an overlay that then stands on a raw image: `raw`, with a QEMU that wants to be asked for it
 * (`backing-mask-protocol`) and with one that does not know the argument. The conversation with QEMU is QEMU's own trace of it.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commitBlocks, listBlockJobs, pullBlocks, type RequestInput } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, findProgram, needsNewerQemu, Stack, temporaryFolder } from '@virtbus/testkit';
import { disk, overlay, qemuImg, rawImage } from './storage-stand';

jest.setTimeout(240_000);

interface Asked {
  execute: string;
  arguments?: Record<string, unknown>;
}

/** QEMU behind a script that makes it write down every command it gets. */
class TracedQemu {
  private constructor(
    readonly path: string,
    private readonly traces: string,
  ) {}

  static make(folder: string, program: string): TracedQemu {
    const path = `${folder}.sh`;
    writeFileSync(path, `#!/bin/sh\nexec ${program} "$@" -D ${folder}/$$ -trace enable=handle_qmp_command\n`);
    chmodSync(path, 0o755);
    mkdirSync(folder);
    chmodSync(folder, 0o1777);
    return new TracedQemu(path, folder);
  }

  /** Every command with this name, as any QEMU got it. */
  asked(name: string): Asked[] {
    const traces = readdirSync(this.traces).map((pid) => readFileSync(join(this.traces, pid), 'utf8'));
    const requests = traces.flatMap((text) => [...text.matchAll(/handle_qmp_command .*? req: (\{.*\})$/gm)]);
    return requests.map(([, json]) => JSON.parse(json!) as Asked).filter(({ execute }) => execute === name);
  }
}

/** A stream and a commit that leave an overlay on a raw image; what the overlays record, and what QEMU was asked. */
async function streamAndCommit(stack: Stack, bus: Bus, qemu: TracedQemu): Promise<Record<string, string>> {
  const file = (name: string): string => stack.folder.file(name);
  const recorded: Record<string, string> = {};
  for (const job of ['stream', 'commit'] as const) {
    rawImage(file(`${job}.img`), 'the base');
    overlay(file(`${job}-1.qcow2`), file(`${job}.img`), 'raw');
    overlay(file(`${job}-2.qcow2`), file(`${job}-1.qcow2`), 'qcow2');
    const devices = `<emulator>${qemu.path}</emulator>${disk(file(`${job}-2.qcow2`), 'qcow2')}`;
    const { uuid } = await stack.run(bus, { name: job, devices });
    const target = { target: uuid };
    if (job === 'stream') {
      await call(bus, pullBlocks, { disk: 'vda', base: 'vda[3]' }, target);
    } else {
      const request: RequestInput<typeof commitBlocks> = { disk: 'vda', top: 'vda[2]', base: 'vda[3]' };
      await call(bus, commitBlocks, request, target);
    }
    await eventually(async () => (await call(bus, listBlockJobs, {}, target)).jobs, [], { timeoutMs: 30_000 });
    const info = JSON.parse(qemuImg('info', '-U', '--output=json', file(`${job}-2.qcow2`))) as Record<string, string>;
    recorded[job] = `${info['full-backing-filename']!.split('/').at(-1)} ${info['backing-filename-format']}`;
  }
  return recorded;
}

const raw = { stream: 'stream.img raw', commit: 'commit.img raw' };

/** What the jobs were asked for, `undefined` where the argument was not sent. */
const masks = (qemu: TracedQemu): unknown[] =>
  ['block-stream', 'block-commit'].flatMap((name) =>
    qemu.asked(name).map(({ arguments: args }) => args?.['backing-mask-protocol']),
  );

/** Of the QEMU that is installed: 7.2 does not know the argument. */
const knowsMask = (program: string): boolean => {
  const [, major] = /version (\d+)\./.exec(execFileSync(program, ['--version'], { encoding: 'utf8' })) ?? [];
  return Number(major) >= 9;
};

test('the installed QEMU gets the argument only if it knows it, and raw is recorded', async () => {
  const installed = findProgram('qemu-system-x86_64')!;
  using folder = temporaryFolder();
  const qemu = TracedQemu.make(folder.file('installed'), installed);
  await using stack = await Stack.start({ env: { VIRTBUS_QEMU_EMULATORS: qemu.path } });
  expect(await streamAndCommit(stack, await stack.connect(), qemu)).toEqual(raw);
  const known = knowsMask(installed);
  expect(masks(qemu)).toEqual(known ? [true, true] : [undefined, undefined]);
});

const newer = needsNewerQemu();
newer.test('a newer QEMU is asked for it, and raw is recorded though the base is a protocol node', async () => {
  using folder = temporaryFolder();
  const qemu = TracedQemu.make(folder.file('newer'), newer.copyTo(folder.file('qemu')));
  await using stack = await Stack.start({ env: { VIRTBUS_QEMU_EMULATORS: qemu.path } });
  expect(await streamAndCommit(stack, await stack.connect(), qemu)).toEqual(raw);
  expect(masks(qemu)).toEqual([true, true]);
  for (const name of ['block-stream', 'block-commit']) {
    expect(qemu.asked(name)[0]!.arguments?.['base-node']).toMatch(/-storage$/);
  }
});
