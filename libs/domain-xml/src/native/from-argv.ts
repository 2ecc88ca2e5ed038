/**
 * A QEMU command line as people write it, as a domain document.
 *
 * Each reader takes the options it can tell whole; what is left goes, in its order, into `<qemu:commandline>`, with the reason
 * for each. Nothing is asked of the host, and nothing is lost without a word.
 */
import { VirtError } from '@virtbus/shared';
import type { Domain } from '../elements/domain';
import { domainFromJson, formatDomain, parseDomain } from '../parse-domain';
import { useBootDevices } from './boot-order';
import { leaveOut, readCharacters } from './character';
import { readDevices } from './devices';
import { readDisplay } from './display';
import { Disks } from './disks';
import { Draft, peek } from './draft';
import { readFlashDrives } from './flash';
import { readCommandLine, type NativeOption } from './invocation';
import { readMachine } from './machine';
import { readNetworks } from './network';
import { Places } from './places';
import { quoteWord } from './shell';
import { readSysinfo } from './sysinfo';
import { readTpms } from './tpm';

/** Throws CONFIG_UNSUPPORTED for text that is no command line of QEMU, or whose values no document can have. */
export function domainFromQemuArgv(text: string): { domain: Domain; warnings: string[] } {
  const draft = new Draft(readCommandLine(text));
  setAside(draft);
  readMachine(draft);
  const places = new Places(draft);
  readFlashDrives(draft);
  new Disks(draft, places).read();
  readNetworks(draft, places);
  readCharacters(draft, places);
  readDisplay(draft, places);
  readSysinfo(draft);
  readTpms(draft, places);
  readDevices(draft, places);
  useBootDevices(draft.domain);
  if (draft.domain.name === undefined) {
    draft.domain.name = 'guest';
    draft.warnings.push("the command line names no guest; it is called 'guest' here");
  }
  keepEnvironment(draft);
  keepTheRest(draft);
  return { domain: checked(draft), warnings: draft.warnings };
}

const words = (option: NativeOption): string[] =>
  option.value === undefined ? [option.flag] : [option.flag, option.value];
const shown = (option: NativeOption): string => words(option).map(quoteWord).join(' ');

/** What every guest of ours has on its line, by option and value; without a value, whatever it is. */
const always: Readonly<Record<string, string | undefined>> = {
  '-S': undefined,
  '-nodefaults': undefined,
  '-no-user-config': undefined,
  '-no-shutdown': undefined,
  '-msg': 'timestamp=on',
  '-sandbox': 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
};

const meaningless: Readonly<Record<string, string>> = {
  '-daemonize': 'its driver keeps it in the background',
  '-pidfile': 'its driver knows its process',
  '-runas': 'its driver chooses the user that it runs as',
  '-chroot': 'its driver chooses where it runs',
  '-incoming': 'a guest is received by migrating it',
  '-full-screen': 'a guest in the background has no window',
  '-version': 'it starts no guest',
  '-help': 'it starts no guest',
};

/** Options that say nothing about the guest. */
function setAside(draft: Draft): void {
  for (const option of draft.line.options) {
    const { flag, value } = option;
    if (flag in always && always[flag] === value) option.state = 'read';
    // The key to a guest's secrets, which each start makes anew.
    else if (flag === '-object' && peek(option, 'id') === 'masterKey0') option.state = 'read';
    else if (meaningless[flag] !== undefined) leaveOut(option, meaningless[flag]);
  }
}

/** Each guest gets an environment of its own; these are no choice of the guest's. */
const ownEnvironment =
  /^(LC_ALL|LANG|PATH|HOME|USER|LOGNAME|XDG_(DATA|CACHE|CONFIG|RUNTIME)_(HOME|DIR)|QEMU_AUDIO_DRV|TZ|DISPLAY|XAUTHORITY)$/;

function keepEnvironment({ domain, line, warnings }: Draft): void {
  const kept = Object.entries(line.env).filter(([name]) => !ownEnvironment.test(name));
  if (kept.length === 0) return;
  domain.qemuCommandline = { ...domain.qemuCommandline, envs: kept.map(([name, value]) => ({ name, value })) };
  for (const [name] of kept) warnings.push(`variable ${name} goes to QEMU beside the document, in <qemu:commandline>`);
}

function keepTheRest({ domain, line, warnings }: Draft): void {
  for (const option of line.options)
    if (option.state === 'left-out') warnings.push(`${shown(option)} is left out: ${option.why}`);
  const open = line.options.filter(({ state }) => state === 'open');
  if (open.length === 0) return;
  domain.qemuCommandline = { ...domain.qemuCommandline, args: open.flatMap(words).map((value) => ({ value })) };
  for (const option of open) {
    const reason = option.why ?? 'the document has no word for it';
    warnings.push(`${shown(option)} goes to QEMU beside the document, in <qemu:commandline>: ${reason}`);
  }
}

/** Every value is one that the declarations allow, and the document is one that can be read again. */
function checked({ domain }: Draft): Domain {
  try {
    const xml = formatDomain(domainFromJson(domain), { view: 'inactive', secrets: true });
    return parseDomain(xml, { mode: 'inactive' }).domain;
  } catch (cause) {
    const { details } = cause as { details?: { detail?: string } };
    const detail = `no document can say this: ${details?.detail ?? String(cause)}`;
    throw new VirtError('CONFIG_UNSUPPORTED', { detail }, { cause });
  }
}
