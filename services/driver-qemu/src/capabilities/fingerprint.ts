/**
 * All that a binary's capabilities depend on. As long as it is unchanged, what was probed once holds.
 */
import { createHash } from 'node:crypto';
import { access, constants, readFile, realpath, stat } from 'node:fs/promises';
import { release } from 'node:os';
import { probeRulesDigest } from '@virtbus/domain-xml';

/** Directories from which QEMU loads its modules, as distributions build it. */
const MODULE_DIRECTORIES = [
  '/usr/lib/qemu',
  '/usr/lib64/qemu',
  '/usr/lib/x86_64-linux-gnu/qemu',
  '/usr/lib/aarch64-linux-gnu/qemu',
  '/usr/local/lib/qemu',
];

export type Fingerprint = Readonly<Record<string, string | number | boolean | null>>;

/** @throws ENOENT when there is no such binary. */
export async function fingerprint(emulator: string): Promise<Fingerprint> {
  const path = await realpath(emulator);
  const [binary, cpuinfo, ...modules] = await Promise.all([
    stat(path),
    text('/proc/cpuinfo'),
    ...MODULE_DIRECTORIES.map((directory) =>
      stat(directory).then(
        (found) => found.mtimeMs,
        () => null,
      ),
    ),
  ]);
  return {
    // A new release of ours asks again when its rules have changed.
    rules: probeRulesDigest,
    path,
    ctimeMs: binary.ctimeMs,
    size: binary.size,
    ...Object.fromEntries(modules.map((mtimeMs, i) => [`modules ${MODULE_DIRECTORIES[i]}`, mtimeMs])),
    kvmAccess: await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
      () => true,
      () => false,
    ),
    kernel: release(),
    cpu: cpuField(cpuinfo, 'model name'),
    microcode: cpuField(cpuinfo, 'microcode'),
    cpuFlags: createHash('sha256').update(cpuField(cpuinfo, 'flags')).digest('hex').slice(0, 16),
    nestedIntel: (await text('/sys/module/kvm_intel/parameters/nested')).trim(),
    nestedAmd: (await text('/sys/module/kvm_amd/parameters/nested')).trim(),
    sev: (await text('/sys/module/kvm_amd/parameters/sev')).trim(),
  };
}

function cpuField(cpuinfo: string, name: string): string {
  return new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(cpuinfo)?.[1] ?? '';
}

function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
