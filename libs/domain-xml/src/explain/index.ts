/** What a definition becomes on a host, line by line, and why. */
import type { QemuCapabilities } from '../capabilities';
import { domain as declaration, type Domain } from '../elements/domain';
import { formatDomain, parseDomain } from '../parse-domain';
import { prepareLxcDomain, type LxcHost } from '../lxc/prepare';
import { nameDevices } from '../passes/aliases';
import { prepareDomain } from '../passes/prepare';
import type { PrepareOptions } from '../passes/options';
import { copyModel } from '../schema';
import { readXml } from '../xml/reader';
import { Watcher, type Change } from './changes';
import { readingChanges } from './reading';
import { reasonOf, type Stage } from './reasons';

export interface Explanation extends Change {
  readonly reason: string;
}

/** What `define` here makes of a document, telling `watch` of each pass. */
type Prepare = (domain: Domain, options: PrepareOptions) => Domain;

/**
 * Every pass of `define`, one after another, each told by what it changed; at the end the names that a start would give.
 * Throws what reading and preparing throw.
 * @param capabilitiesOf those of the binary that the definition would run on
 */
export function explainDomain(
  xml: string,
  capabilitiesOf: (domain: Domain) => QemuCapabilities,
  options: PrepareOptions = {},
): { lines: Explanation[]; warnings: string[] } {
  const prepare: Prepare = (domain, watching) => prepareDomain(domain, capabilitiesOf(domain), watching);
  const { lines, warnings } = explain(xml, prepare, options, nameDevices);
  return { lines, warnings };
}

/** The same of a container. @param live what this host's start does to the document beside naming devices, in place */
export function explainLxcDomain(
  xml: string,
  host: LxcHost,
  options: PrepareOptions,
  live: (domain: Domain) => void,
): { lines: Explanation[]; warnings: string[]; prepared: Domain } {
  return explain(
    xml,
    (domain, watching) => prepareLxcDomain(domain, host, watching),
    options,
    (domain) => {
      nameDevices(domain);
      live(domain);
    },
  );
}

function explain(
  xml: string,
  prepare: Prepare,
  options: PrepareOptions,
  start: (domain: Domain) => void,
): { lines: Explanation[]; warnings: string[]; prepared: Domain } {
  const { domain, warnings } = parseDomain(xml, { mode: 'inactive', unknown: 'warn' });
  const understood = readXml(formatDomain(domain, { view: 'inactive', secrets: true }));
  const told: { stage: Stage; change: Change }[] = readingChanges(readXml(xml), understood).map((change) => ({
    stage: 'reading',
    change,
  }));
  let watcher: Watcher | undefined;
  const watch: PrepareOptions['watch'] = (step, model) => {
    watcher ??= new Watcher(declaration, model);
    for (const change of watcher.look(model)) told.push({ stage: step, change });
  };
  const prepared = prepare(domain, { ...options, watch });
  const named = copyModel(prepared);
  const names = new Watcher(declaration, named);
  start(named);
  for (const change of names.look(named)) told.push({ stage: 'start', change });
  return {
    lines: told.map(({ stage, change }) => ({ ...change, reason: reasonOf(stage, change, prepared) })),
    warnings: warnings.map(({ detail, line }) => `line ${line}: ${detail}`),
    prepared,
  };
}
