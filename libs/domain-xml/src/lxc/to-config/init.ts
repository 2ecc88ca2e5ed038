/** What runs as process 1: its words, environment, folder and ids. */
import type { Domain } from '../../elements/domain';
import { fail, lineOf } from '../../schema';
import type { LxcFacts } from '../facts';
import { refuse, type ConfigLines } from './lines';

/** The command that becomes process 1, word by word. Throws XML_ERROR when the document names none. */
export function initWords({ os }: Domain): string[] {
  if (os.init === undefined) fail('XML_ERROR', 'init binary must be specified', { element: 'os', line: lineOf(os) });
  return [os.init, ...os.initargs];
}

export function writeInit(lines: ConfigLines, domain: Domain, facts: LxcFacts): void {
  const { os } = domain;
  const where = { element: 'os', line: lineOf(os) };
  writeCommand(lines, domain, facts);
  if (os.initdir !== undefined) lines.set('lxc.init.cwd', os.initdir, { ...where, element: 'initdir' });
  const uid = idOf('inituser', os.inituser, facts.ids?.uid, where.line);
  const gid = idOf('initgroup', os.initgroup, facts.ids?.gid, where.line);
  if (uid !== undefined) lines.set('lxc.init.uid', uid);
  if (gid !== undefined) lines.set('lxc.init.gid', gid);
  for (const [name, value] of environment(domain)) lines.set('lxc.environment', `${name}=${value}`);
  for (const entry of os.initenvs) {
    const at = { element: 'initenv', line: lineOf(entry) };
    if (/[=\s]/.test(entry.name)) refuse(`'${entry.name}' cannot be the name of a variable`, at);
    lines.set('lxc.environment', `${entry.name}=${entry.value ?? ''}`, at);
  }
}

/** liblxc splits the command at blanks and knows no quoting. */
function writeCommand(lines: ConfigLines, domain: Domain, { command }: LxcFacts): void {
  const words = initWords(domain);
  const odd = words.find((word) => word === '' || word.includes(' '));
  const where = { element: 'initarg', line: lineOf(domain.os) };
  if (odd === undefined) lines.set('lxc.init.cmd', words.join(' '), where);
  else if (command !== 'arguments')
    refuse(
      `'${odd}' cannot be written to a configuration of liblxc, which splits init's command at blanks; put the command into a script`,
      where,
    );
}

const path = '/sbin:/usr/sbin:/bin:/usr/bin';
const terminal = 'linux';

/** What a container of libvirt finds in its environment. */
function environment({ name, uuid }: Domain): [string, string][] {
  return [['PATH', path], ['TERM', terminal], ...identities(uuid), ['LIBVIRT_LXC_NAME', name]];
}

const identities = (uuid: string | undefined): [string, string][] =>
  uuid === undefined ? [] : ['container_uuid', 'LIBVIRT_LXC_UUID'].map((variable) => [variable, uuid]);

/** Whether a variable is one that every container of ours gets by itself. */
export const isOwnVariable = (name: string, value: string): boolean =>
  (name === 'PATH' && value === path) ||
  (name === 'TERM' && value === terminal) ||
  ['container_uuid', 'LIBVIRT_LXC_UUID', 'LIBVIRT_LXC_NAME'].includes(name);

/** A number as it is (`+7` too); a name has been looked up. */
function idOf(
  element: string,
  given: string | undefined,
  known: number | undefined,
  line: number | undefined,
): number | undefined {
  if (given === undefined) return known;
  if (known !== undefined) return known;
  if (/^\+?\d{1,10}$/.test(given)) return Number(given);
  return refuse(`<${element}> '${given}' is not known inside the container; give its number`, { element, line });
}
