/**
 * A command line of QEMU, taken apart: environment, emulator, options with their values. Which options take a value is
 * QEMU's own table (`qemu-system-x86_64 -help`, 7.2).
 */
import { VirtError } from '@virtbus/shared';
import { splitWords } from './shell';

export interface NativeOption {
  /** With one dash. */
  readonly flag: string;
  readonly value: string | undefined;
  /** `open`: nobody has understood it yet; `read`: it stands in the document; `left-out`: it has no place in a guest of ours. */
  state: 'open' | 'read' | 'left-out';
  /** Why it is still open, or was left out. */
  why?: string;
}

export interface CommandLine {
  readonly env: Readonly<Record<string, string>>;
  /** As it is written; undefined when the text begins with options. */
  readonly emulator: string | undefined;
  readonly options: NativeOption[];
}

/** Options that stand alone. */
const alone = new Set(
  `S snapshot no-fd-bootchk no-acpi no-hpet no-reboot no-shutdown nographic enable-kvm no-kvm usb nodefaults no-user-config
  nodefconfig daemonize full-screen localtime win2k-hack singlestep h help version only-migratable preconfig mem-prealloc s
  old-param portrait semihosting async-teardown enable-fips enable-sync-profile xen-attach curses sdl no-quit no-frame
  rtc-td-hack realtime`
    .split(/\s+/)
    .map((name) => `-${name}`),
);

const assignment = /^([A-Za-z_]\w*)=(.*)$/s;

/** Throws CONFIG_UNSUPPORTED for text that is no command line of QEMU. */
export function readCommandLine(text: string): CommandLine {
  const words = splitWords(text);
  const env: Record<string, string> = {};
  while (words[0] === 'env' || words[0] === 'exec' || words[0] === 'sudo') words.shift();
  for (let match = assignment.exec(words[0] ?? ''); match; match = assignment.exec(words[0] ?? '')) {
    env[match[1]!] = match[2]!;
    words.shift();
  }
  while (words[0] === 'exec' || words[0] === 'sudo') words.shift();
  const emulator = words[0]?.startsWith('-') ? undefined : words.shift();
  if (emulator !== undefined && !/(qemu|kvm)/.test(emulator.slice(emulator.lastIndexOf('/') + 1)))
    throw new VirtError('CONFIG_UNSUPPORTED', {
      detail: `'${emulator}' is no QEMU: a command line begins with its emulator, such as qemu-system-x86_64`,
    });
  if (emulator === undefined && words.length === 0)
    throw new VirtError('CONFIG_UNSUPPORTED', { detail: 'the command line is empty' });
  const options: NativeOption[] = [];
  while (words.length > 0) options.push(nextOption(words));
  return { env, emulator, options };
}

function nextOption(words: string[]): NativeOption {
  const word = words.shift()!;
  // A word of its own is the first hard disk.
  if (!word.startsWith('-') || word === '-') return { flag: '-hda', value: word, state: 'open' };
  const flag = word.replace(/^--/, '-');
  if (alone.has(flag)) return { flag, value: undefined, state: 'open' };
  return { flag, value: words.shift(), state: 'open' };
}
