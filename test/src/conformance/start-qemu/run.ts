/**
 * Does the QEMU that is installed accept the command lines that we make? Every case of the kit is built, sorted by what it needs of
 * the host, started with stand-ins for its files, and asked `query-status`.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PrepareOptions } from '@virtbus/domain-xml';
import { temporaryFolder } from '@virtbus/testkit';
import { capabilityReader, hostOptions } from '../domain-xml-qemu';
import type { Kit } from '../kit';
import { judgeCommandLine } from '../qemu-arguments';
import { buildLine, caseOptions, nearestCapabilities, startableCases, type BuiltLine, type Startable } from './cases';
import { hostNeed } from './needs';
import { optionsOf } from './options';
import { startAndAsk } from './qemu';
import { StandIns } from './stand-ins';

export type Verdict =
  | { readonly kind: 'accepted' }
  /** Nothing that a test can provide. */
  | { readonly kind: 'host'; readonly need: string }
  /** This QEMU has not what the document asks for, in its words or in those of our check. */
  | { readonly kind: 'version'; readonly reason: string }
  /** So would libvirt's own: ours for the recorded QEMU is word for word the recorded one. */
  | { readonly kind: 'recorded'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

export interface Judged {
  readonly id: string;
  readonly verdict: Verdict;
}

export interface StartOptions {
  readonly emulator: string;
  /** Only every so manyth case. */
  readonly every: number;
  readonly parallel: number;
}

export async function startCases(kit: Kit, { emulator, every, parallel }: StartOptions): Promise<Judged[]> {
  using folder = temporaryFolder();
  const capabilities = nearestCapabilities(kit, emulator);
  const host = hostOptions(kit);
  const standIns = new StandIns(folder.file('t'));
  const left = startableCases(kit).filter((_, index) => index % every === 0);
  const isAsRecorded = recordedLines(kit, host);
  const judged: Judged[] = [];
  const worker = async (): Promise<void> => {
    for (let one = left.shift(); one; one = left.shift()) {
      const line = buildLine(kit, one, capabilities, host);
      let verdict: Verdict =
        'reason' in line
          ? { kind: 'version', reason: line.reason }
          : await tryLine(line, emulator, standIns, folder.file(String(left.length)));
      if (verdict.kind === 'refused' && isAsRecorded(one)) verdict = { ...verdict, kind: 'recorded' };
      judged.push({ id: one.id, verdict });
    }
  };
  // A worker that fails ends the run, but not before the others have ended their QEMU.
  const ends = await Promise.allSettled(Array.from({ length: parallel }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return judged.sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function tryLine(line: BuiltLine, emulator: string, standIns: StandIns, folder: string): Promise<Verdict> {
  const need = line.ownArguments ? "the document's own arguments" : hostNeed(optionsOf(line.args), line.descriptors);
  if (need !== undefined) return { kind: 'host', need };
  mkdirSync(folder);
  try {
    const args = standIns.move(line.args, folder);
    const answer = await startAndAsk(emulator, args, { env: line.env, monitor: join(folder, line.monitor) });
    if ('state' in answer)
      return answer.state === 'prelaunch' ? { kind: 'accepted' } : { kind: 'refused', reason: `it is ${answer.state}` };
    const said = answer.refusal.replaceAll(folder, '');
    return isLacking(said) ? { kind: 'version', reason: said } : { kind: 'refused', reason: said };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether our command line for the QEMU of a case is word for word the one that libvirt made for it. */
function recordedLines(kit: Kit, host: PrepareOptions): (one: Startable) => boolean {
  const capabilitiesOf = capabilityReader(kit);
  return (one) => {
    const capabilities = capabilitiesOf(one);
    let same = false;
    const report = (kind: string, reason?: string): void => {
      if (kind === 'command line (strict)') same = reason === undefined;
    };
    if (capabilities) judgeCommandLine(kit, one, capabilities, caseOptions(one, host), report);
    return same;
  };
}

/** How QEMU says that it does not know something: another version, or another build. */
const unknownWords = [
  /is not a valid (device model|object type|machine) name/,
  /^[^ ]+: invalid option$/,
  /Property '.*' not found/,
  /Parameter '.*' (does not accept value|is unexpected)/,
  /(unsupported|invalid) (machine type|accelerator)/,
  /There is no option group/,
  /is not (supported|compiled)/,
  /(is not|isn't) (available|a supported|supported)/,
  /unable to find CPU model/,
  /missing object type/,
  /fsdriver \w+ not found/,
];

const isLacking = (said: string): boolean => unknownWords.some((words) => words.test(said));
